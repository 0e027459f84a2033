"""One module per figure of the paper; each has ``draw(store) -> Drawn``."""
