"""``tokencredit push``: a trained model with a card written from its records, in a folder or on the Hugging Face Hub."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HTTPError

from tokencredit import cli, files
from tokencredit.analysis.store import Store
from tokencredit.config import Released, Row, load_study
from tokencredit.config.keys import HUB_ID
from tokencredit.errors import UserError
from tokencredit.study.paths import model_files
from tokencredit.tools.integrity import check_row
from tokencredit.tools.model_card import card

CARD = "README.md"
UNKNOWN = "not stated"


def push(
    study: str,
    method: str,
    seed: int,
    to: str,
    out: Path | None,
    licence: str | None,
    public: bool,
    config: Path,
    results: Path,
) -> None:
    """Commit the files of a trained model and its card to the repository ``to`` of the Hub, or write them to the new folder ``out``.

    ``licence``: of the weights of a model that was trained from scratch. Raises ``UserError`` where the records of the run are not whole
    or do not belong to its model, the run is invalid, or the licence is not known.
    """
    store = Store(load_study(config, study), results)
    store.study.method(method)
    row = store.study.row(method, seed)
    if not re.fullmatch(HUB_ID, to):
        raise UserError(f"--to {to!r}: must be owner/name.")
    model = store.paths.run(row).model
    licence = _licence(store, row, licence)
    _check(store, row)
    text = card(store, row, to, licence)
    weights = {path.relative_to(model).as_posix(): path for path in model_files(model)}
    if out is None:
        print(_commit(to, public, weights, text, f"{row.path} of the study {study}"))
        return
    with files.new_folder(out) as folder:
        for name, path in weights.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        files.write_text(folder / CARD, text)
    cli.made([out])


def _check(store: Store, row: Row) -> None:
    """The run is sound and finished, its model is the one that it wrote, and the scores are that model's."""
    run = store.paths.run(row)
    if not run.record.is_file():
        raise UserError(f"{run.record}: no such file; the run is not finished: snakemake {run.record}")
    record = store.run(row.name, row.seed)
    if record["invalid"]:
        raise UserError(f"{run.record}: the run is invalid: {record['invalid']}")
    if not run.model.is_dir() or files.sha256(run.model) != record["model_sha256"]:
        raise UserError(f"{run.model}: is not the model that {run.record} was written with.")
    store.scores(row)
    check_row(store, row)


def _licence(store: Store, row: Row, own: str | None) -> str:
    """The licence of the weights as the Hub spells it."""
    model = store.study.config.models[row.model]
    if not isinstance(model, Released):
        if own is None:
            raise UserError(
                f"{model.title} was trained from scratch: say by --licence under which licence it is given away."
            )
        return own.lower()
    where = f"config/models.yaml: models.{row.model}.licence = {model.licence!r}"
    if model.licence == UNKNOWN:
        raise UserError(f"{where}: a model whose base has no known licence is not passed on; write the licence there.")
    if own is not None and own.lower() != model.licence.lower():
        raise UserError(f"{where}: --licence {own} is another one; a trained model keeps that of its base.")
    return model.licence.lower()


def _commit(to: str, public: bool, weights: dict[str, Path], text: str, message: str) -> str:
    """One commit with all files; its address."""
    api = HfApi()
    added = [CommitOperationAdd(name, path) for name, path in weights.items()]
    try:
        api.create_repo(to, private=not public, exist_ok=True)
        return api.create_commit(
            to, [*added, CommitOperationAdd(CARD, text.encode())], commit_message=message
        ).commit_url
    except (HTTPError, OSError, ValueError) as error:
        raise UserError(f"{to}: cannot be written on the Hugging Face Hub: {' '.join(str(error).split())}") from error
