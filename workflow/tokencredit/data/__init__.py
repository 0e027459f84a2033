"""Problems: from files, from the Hub, and generated ones of the embedded tasks."""

# The files of a prepared data set.
PROBLEMS, MANIFEST = "problems.parquet", "manifest.json"
