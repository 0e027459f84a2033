"""The format of a bundle: files in a .tar.gz archive, each with its checksum. The same files give the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath

from tokencredit import files
from tokencredit.errors import UserError

TIME = 315_532_800  # 1 January 1980: every file's time, so that none is newer than what was made from it
CONTENT, SUMS = "bundle.json", "SHA256SUMS"
_LISTED = 5  # names that an error lists


def read(bundle: Path) -> dict[str, bytes]:
    """The files of a bundle by name, each held against its checksum. Raises ``UserError`` for what is missing, spoiled or not listed."""
    try:
        with tarfile.open(bundle, "r:gz") as archive:
            members = {member.name: _content(archive, member, bundle) for member in archive}
    except FileNotFoundError as error:
        raise UserError(f"{bundle}: no such file.") from error
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise UserError(f"{bundle}: cannot be read as a .tar.gz archive, it may be truncated: {error}.") from error
    if SUMS not in members:
        raise UserError(f"{bundle}: holds no {SUMS}; it is not a bundle.")
    sums = dict(reversed(line.split("  ", 1)) for line in members.pop(SUMS).decode().splitlines())
    off = sorted(name for name in sums.keys() | members.keys() if sums.get(name) != sha256(members.get(name)))
    if off or CONTENT not in members:
        raise UserError(
            f"{bundle}: {len(members)} files, {len(sums)} have a checksum; missing, spoiled or not listed: "
            f"{listed(off or [CONTENT])}."
        )
    return members


def write(out: Path, members: dict[str, bytes]) -> None:
    """Write the files ``members``, by name, with their checksums to the archive ``out``."""
    sums = "".join(f"{sha256(data)}  {name}\n" for name, data in sorted(members.items()))
    with (
        files.atomic_path(out) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, data in sorted((members | {SUMS: sums.encode()}).items()):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(data), TIME, 0o644
            archive.addfile(member, BytesIO(data))


def sha256(data: bytes | None) -> str | None:
    """The digest of a file's content; None where there is no file."""
    return None if data is None else hashlib.sha256(data).hexdigest()


def listed(names: Sequence[object], separator: str = ", ") -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return separator.join(map(str, names[:_LISTED])) + more


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, bundle: Path) -> bytes:
    path = PurePosixPath(member.name)
    file = archive.extractfile(member) if member.isreg() else None
    if file is None or path.is_absolute() or ".." in path.parts:
        raise UserError(f"{bundle}: {member.name}: is not a plain file below the results; no bundle holds such.")
    return file.read()
