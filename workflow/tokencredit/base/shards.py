"""Whether a model's folder holds every file that its weights are cut into."""

from __future__ import annotations

from pathlib import Path

from tokencredit.errors import UserError
from tokencredit.files import read_json


def check_shards(folder: Path, where: str) -> None:
    """``UserError`` where an index of weights names a file that is not in ``folder``; ``where`` says whose folder it is."""
    for index in sorted(folder.glob("*.safetensors.index.json")):
        for name in sorted(set(read_json(index).get("weight_map", {}).values())):
            if not (folder / name).is_file():
                raise UserError(f"{where}: {index.name} names {name}, which is not there; the model is not whole.")
