"""What a study consists of: its jobs, what each reads and makes, where that lies, and which code and settings decide it.

Everything here is decided from the configuration alone. Neither torch nor pandas is imported: Snakemake imports this package at every
start.
"""
