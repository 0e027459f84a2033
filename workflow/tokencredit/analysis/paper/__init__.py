"""A study held against the paper: its printed numbers and its claims."""
