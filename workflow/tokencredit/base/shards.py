"""Whether a model's folder holds every file that its weights are cut into, and each weight once."""

from __future__ import annotations

from pathlib import Path

from tokencredit.errors import UserError
from tokencredit.files import read_json


def check_shards(folder: Path, where: str) -> None:
    """``UserError`` where an index of weights names a file that is not in ``folder``, or a weight is in two of the folder's files.

    ``where`` says whose folder it is.
    """
    for index in sorted(folder.glob("*.safetensors.index.json")):
        if (whole := folder / index.name.removesuffix(".index.json")).is_file():
            raise UserError(
                f"{where}: holds the weights twice, in {whole.name} and in the files of {index.name}, and which of them count differs "
                f"between programs; use a folder or a revision with one of the two."
            )
        names = sorted(set(read_json(index).get("weight_map", {}).values()))
        for name in names:
            if not (folder / name).is_file():
                raise UserError(f"{where}: {index.name} names {name}, which is not there; the model is not whole.")
        _check_once(folder, names, where)


def _check_once(folder: Path, names: list[str], where: str) -> None:
    """No weight is in two of the files: programs read all of them, and of two by one name the one that they happen to read last."""
    file_of: dict[str, str] = {}
    for name in names:
        for weight in _weights(folder / name, where):
            if weight in file_of:
                raise UserError(
                    f"{where}: holds {weight} twice, in {file_of[weight]} and in {name}, and which of the two counts differs between "
                    f"programs; get the model's files again, or use another revision."
                )
            file_of[weight] = name


def _weights(file: Path, where: str) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as stored:
            return list(stored.keys())
    except SafetensorError as error:
        raise UserError(f"{where}: {file.name} cannot be read: {error}.") from error
