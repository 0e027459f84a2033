"""Accepted results: kept although their code has changed, with a record beside each of who vouched for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tokencredit import files


@dataclass(frozen=True)
class Acceptance:
    """That a file, of this ``sha256``, stands as if the code of digest ``now`` had made it. ``at``: local time with its zone."""

    sha256: str
    before: str
    now: str
    by: str
    at: str
    reason: str

    def __str__(self) -> str:
        return f"{self.at} by {self.by}: code {self.before[:12]} → {self.now[:12]}: {self.reason}"


def record_of(path: str | Path) -> Path:
    """Where it is written that ``path`` was accepted, one line each time."""
    return Path(f"{path}.accepted.jsonl")


def acceptances(path: str | Path, sha256: str | None = None) -> list[Acceptance]:
    """Those of the file ``path`` as it is, in their order; ``sha256``: its digest, where the file itself is not there."""
    record = record_of(path)
    if not record.is_file():
        return []
    found = [Acceptance(**line) for line in files.read_jsonl(record)]
    is_now = sha256 or (files.sha256(path) if Path(path).is_file() else None)
    return [each for each in found if each.sha256 == is_now]


def accepted_codes(code: str, accepted: Iterable[Acceptance]) -> set[str]:
    """The digests of code as whose result something stands that ``code`` made."""
    codes = {code}
    for each in accepted:
        if each.before in codes:
            codes.add(each.now)
    return codes
