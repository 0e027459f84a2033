"""What was read of a module's text, kept beside its compiled form: to parse the package takes longer than most commands do."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from tokencredit import files
from tokencredit.errors import UserError
from tokencredit.provenance import syntax
from tokencredit.provenance.syntax import Module

_KEPT = TypeAdapter(tuple[str, Module])


def module(path: Path) -> Module:
    """What the module of a file says.

    What was kept counts only for the very text of that file, read by the very code that reads it now, under the same version of Python.
    """
    source, place = path.read_text(encoding="utf-8"), path.parent / "__pycache__" / f"{path.stem}.syntax.json"
    key = hashlib.sha256("\0".join([sys.version, _reader(), source]).encode()).hexdigest()
    with contextlib.suppress(OSError, ValueError):
        of, kept = _KEPT.validate_json(place.read_bytes())
        if of == key:
            return kept
    parsed = syntax.parsed(source)
    if not sys.dont_write_bytecode:
        with contextlib.suppress(UserError):  # where the package cannot be written to, as in a container
            files.write_text(place, _KEPT.dump_json((key, parsed)).decode())
    return parsed


@cache
def _reader() -> str:
    return Path(syntax.__file__).read_text(encoding="utf-8")
