"""The oracle: the credit of tokens as it is, measured by trying every plausible next token and continuing from it.

``estimate`` is the arithmetic, ``measure`` the sampling; both work at one state at a time. The command is ``python -m tokencredit.oracle``.
"""
