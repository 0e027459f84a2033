"""The one exception that is meant for a person."""

from __future__ import annotations


class UserError(Exception):
    """Something outside the code is wrong (a key, a file, a model id). The message is a sentence to a person: what, where, what is allowed.

    Command lines print it without a traceback and exit with status 2; everything else is a defect and keeps its traceback.
    """
