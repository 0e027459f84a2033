"""Problems: from files, from the Hub, and generated ones of the embedded tasks."""

# The files of a prepared data set.
PROBLEMS, MANIFEST = "problems.parquet", "manifest.json"

# The module of each embedded task.
MODULES = {"word-problems": "data.word_problems", "graph-paths": "data.graph_paths"}

# Tasks in which a token's kind is told from the problem too, not from the solution alone.
KINDS_FROM_PROBLEM = ("graph-paths",)
