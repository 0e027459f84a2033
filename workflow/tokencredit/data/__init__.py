"""Problems: from files, from the Hub, and generated ones of the embedded tasks."""
