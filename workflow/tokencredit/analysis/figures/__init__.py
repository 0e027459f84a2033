"""One module per figure; each has ``draw(store) -> Drawn``."""
