"""Tables, figures and the page of a study, from stored records only."""
