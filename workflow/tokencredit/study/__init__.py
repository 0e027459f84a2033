"""What a study consists of: its jobs, what each reads and makes, where that lies, and which code and settings decide it.

Decided from the configuration alone: neither torch nor pandas is imported here, for the graph asks at every start.
"""
