"""What a person asks of a study, each a command: what there is to do, what it takes, where a number came from."""
