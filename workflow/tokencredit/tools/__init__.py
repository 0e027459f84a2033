"""The commands that answer a person's questions about a study: what is done, what it needs, where a number came from."""
