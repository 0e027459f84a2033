"""The measured credit of tokens, and how far the weights of methods agree with it."""
