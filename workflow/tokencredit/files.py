"""Reading and writing of the study's files: atomic, digested, and with errors that name the file.

pandas and pyarrow are imported only where a table is read or written, because the graph and the plan read JSON alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokencredit.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_METADATA_KEY = b"tokencredit"


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends well, and vanishes when it does not."""
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        share(temporary)
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written: {error.strerror or error}; earlier results are untouched."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` when the block ends well, and vanishes otherwise. ``UserError`` where ``path`` is there."""
    if path.exists():
        raise UserError(f"{path}: is there already; name a new folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        folder = Path(temporary, path.name)
        folder.mkdir()
        yield folder
        folder.rename(path)


def share(path: Path) -> None:
    """Give a file, or all files of a folder, the mode that the umask gives to new ones: temporary files and weights have it not."""
    umask = os.umask(0)
    os.umask(umask)
    for file in path.iterdir() if path.is_dir() else [path]:
        file.chmod(0o666 & ~umask)


def write_text(path: str | Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}.") from error


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """The records of a JSON-lines file, in order."""
    path = Path(path)
    try:
        # Not splitlines: a text in a record may hold one of the other line separators of Unicode.
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be read as JSON lines: {error}.") from error


def write_parquet(path: str | Path, frame: pd.DataFrame, metadata: dict[str, Any] | None = None) -> None:
    """A Parquet file with ``metadata`` (JSON) in its schema, so that a table carries where it came from."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), _METADATA_KEY: json.dumps(metadata or {}).encode()}
    )
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_parquet(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """The table of ``path``; a missing, truncated or foreign file, or a missing column, is a ``UserError`` that names it."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    try:
        if columns is not None:
            present = pq.read_schema(path).names
            missing = [name for name in columns if name not in present]
            if missing:
                raise UserError(f"{path}: has no column {', '.join(missing)}; it has {', '.join(present)}.")
        return pd.read_parquet(path, columns=columns)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file.") from error
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read as Parquet, it may be truncated: {error}.") from error


def parquet_metadata(path: str | Path) -> dict[str, Any]:
    """What ``write_parquet`` was given as ``metadata``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return json.loads((pq.read_schema(path).metadata or {}).get(_METADATA_KEY, b"{}"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file.") from error
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read as Parquet, it may be truncated: {error}.") from error


def check_run_file(path: Path) -> None:
    """Refuse a file of a training run that is not the one that the ``run.json`` beside it names."""
    manifest = path.with_name("run.json")
    if sha256(path) != read_json(manifest)["files"][path.name]:
        raise UserError(
            f"{path}: is not the file that {manifest} was written with. Train the run again: snakemake --forcerun {manifest}"
        )


def sha256(path: str | Path) -> str:
    """The hex digest of a file, or of a folder: names and digests of all files in it, sorted."""
    path = Path(path)
    if path.is_dir():
        names = sorted(file for file in path.rglob("*") if file.is_file())
        return digest_of([[file.relative_to(path).as_posix(), sha256(file)] for file in names])
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file.") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}.") from error


def digest_of(value: Any) -> str:
    """The sha256 of a value's canonical JSON."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).hexdigest()
