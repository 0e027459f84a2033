"""A study compared with the paper: its printed numbers and its claims."""
