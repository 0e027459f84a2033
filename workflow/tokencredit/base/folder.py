"""Models in a folder: what they are made of, their digest, and folders that are made whole or not at all."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokencredit.base.shards import check_shards
from tokencredit.config import FolderModel
from tokencredit.errors import UserError
from tokencredit.files import digest_of, sha256, share
from tokencredit.study.paths import model_files

_UNFINISHED = ".unfinished-"


def resolve(name: str, model: FolderModel) -> dict[str, Any]:
    """The manifest of a model that lies in a folder: where, and the digest of the files that count.

    Raises ``UserError`` where there is no model, and where the files are others than the configuration pins.
    """
    where = f"config/models.yaml: models.{name}.path = {model.path!r}"
    folder = model.folder.absolute()
    if not folder.is_dir():
        raise UserError(f"{where}: no such folder.")
    for pattern in ("config.json", "*.safetensors"):
        if not any(file.is_file() for file in folder.glob(pattern)):  # a link may lead nowhere
            raise UserError(
                f"{where}: holds no {pattern}; a model is config.json, its tokenizer and .safetensors files."
            )
    check_shards(folder, where)
    digest = content_digest(folder)
    if model.sha256 not in (None, digest):
        raise UserError(f"{where}: holds another model than is pinned: expected sha256 {model.sha256}, found {digest}.")
    return {"kind": "folder", "path": str(folder), "revision": None, "sha256": digest}


def content_digest(folder: Path) -> str:
    """The digest of the names and the contents of a model's files."""
    return digest_of([[file.relative_to(folder).as_posix(), _digest(file)] for file in model_files(folder)])


@contextlib.contextmanager
def made_whole(out: Path) -> Iterator[Path]:
    """A folder to write to, whose files move to ``out`` when the block ends well; what a killed job left of one is deleted first."""
    for stale in out.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(stale)
    with tempfile.TemporaryDirectory(dir=out, prefix=_UNFINISHED) as name:
        unfinished = Path(name)
        yield unfinished
        share(unfinished)
        for file in sorted(unfinished.iterdir()):
            file.replace(out / file.name)


def _digest(file: Path) -> str:
    """sha256 of the content. The Hub's cache links a large file to a blob of that name: no need to read gigabytes again."""
    target = file.resolve()
    of_cache = file.is_symlink() and target.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", target.name)
    return target.name if of_cache else sha256(file)
