"""Training of one cell of a study: sample, grade, score, assign credit, update, record."""
