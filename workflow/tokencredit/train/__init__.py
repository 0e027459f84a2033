"""Training of one method under one seed: sample, grade, score, assign credit, update, record."""
