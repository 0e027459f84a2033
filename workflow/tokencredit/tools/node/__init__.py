"""``tokencredit check-gpu``: whether a node computes right numbers, and how fast, before a study starts on it."""
