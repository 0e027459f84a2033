"""The oracle: the credit of tokens, measured by trying every plausible next token and continuing from it.

``responses`` reads what training stored, ``measure`` samples and counts, ``estimate`` is the arithmetic on counts, which only the analysis
needs. The command is ``python -m tokencredit.oracle measure``. ``attribution`` is what the policy's weights say of the same tokens:
``python -m tokencredit.oracle attribute``.
"""
