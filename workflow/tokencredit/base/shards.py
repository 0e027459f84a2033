"""Whether a model's folder holds every file that its weights are cut into, and the weights once."""

from __future__ import annotations

from pathlib import Path

from tokencredit.errors import UserError
from tokencredit.files import read_json


def check_shards(folder: Path, where: str) -> None:
    """``UserError`` where an index of weights names a file that is not in ``folder``, or stands beside a file of all weights.

    ``where`` says whose folder it is.
    """
    for index in sorted(folder.glob("*.safetensors.index.json")):
        if (whole := folder / index.name.removesuffix(".index.json")).is_file():
            raise UserError(
                f"{where}: holds the weights twice, in {whole.name} and in the files of {index.name}, and which of them count differs "
                f"between programs; use a folder or a revision with one of the two."
            )
        for name in sorted(set(read_json(index).get("weight_map", {}).values())):
            if not (folder / name).is_file():
                raise UserError(f"{where}: {index.name} names {name}, which is not there; the model is not whole.")
