"""Where problems come from: a file under the data root, the Hugging Face Hub at a pinned commit, or the generator.

Every source gives rows of one form; ``prepare.py`` checks and writes them. A file's content is pinned by its sha256, a Hub data set's
by its commit, a generated one by its seed.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tokencredit.config import FileDataset, GeneratedDataset, HubSource
from tokencredit.data.rows import Row, parsed_rows, text_field
from tokencredit.data.text import ANSWERS
from tokencredit.errors import UserError

_CALCULATION = re.compile(r"<<[^<>]*>>")


@dataclass(frozen=True)
class Source:
    """The rows of a data set and what pins them. ``rows`` is read once."""

    rows: Iterable[Row]
    origin: str
    place: str
    file_sha256: str | None
    revision: str | None


def open_source(name: str, dataset: FileDataset | GeneratedDataset, data_root: Path | None) -> Source:
    """The source of ``name``: the generator, else the data root where one is given, else the Hub.

    A data root that lacks the file is an error: a study never changes its source on its own.
    """
    if isinstance(dataset, GeneratedDataset):
        return _generated(name, dataset)
    if data_root is not None:
        return _file(name, dataset, data_root)
    return _hub(name, dataset)


def _generated(name: str, dataset: GeneratedDataset) -> Source:
    from tokencredit.data.embedded import generate_problems

    frame = generate_problems(dataset.tiers, dataset.rows, dataset.seed, dataset.split, dataset.task, dataset.solutions)
    return Source(
        (Row(**record) for record in frame.to_dict("records")),
        "generated",
        f"generator, seed {dataset.seed}",
        None,
        None,
    )


def chosen(rows: Iterable[Row], dataset: FileDataset | GeneratedDataset) -> Iterator[Row]:
    """The rows that the filters of a data set take, in their order: levels, at most so many calculations, the first ones."""
    if isinstance(dataset, GeneratedDataset):
        yield from rows
        return
    taken = (row for row in rows if not dataset.level or row.level in dataset.level)
    if dataset.steps is not None:
        taken = (row for row in taken if 1 <= len(_CALCULATION.findall(row.solution or "")) <= dataset.steps)
    yield from islice(taken, dataset.first)


# ---------------------------------------------------------------- the data root


def _file(name: str, dataset: FileDataset, data_root: Path) -> Source:
    path = data_root / dataset.file
    expected = f"expected sha256 {dataset.sha256}"
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: no such file; data set {name} needs it under the data root $TOKENCREDIT_DATA, {expected}."
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; data set {name}, {expected}.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != dataset.sha256:
        raise UserError(
            f"{path}: damaged or another version: {expected}, found {found} ({len(content)} bytes); data set {name}."
        )
    return Source(_parsed(path, name, dataset, content), "data root", dataset.file, found, None)


def _parsed(path: Path, name: str, dataset: FileDataset, content: bytes) -> list[Row]:
    try:
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(
            f"{path}: cannot be read as JSON lines, it may be truncated: {error}; data set {name}."
        ) from error
    rows = list(parsed_rows(str(path), name, text))
    _check_rows(str(path), name, len(rows), dataset.rows)
    return rows


def _check_rows(place: str, name: str, found: int, expected: int) -> None:
    if found != expected:
        raise UserError(
            f"{place}: has {found:,} rows; data set {name} expects {expected:,} (datasets.{name} in datasets.yaml)."
        )


# ---------------------------------------------------------------- the Hub


def _hub(name: str, dataset: FileDataset) -> Source:
    otherwise = f"set TOKENCREDIT_DATA to the folder that holds {dataset.file}"
    if dataset.hub is None:
        raise UserError(f"data set {name}: TOKENCREDIT_DATA is not set and the data set has no Hub id: {otherwise}.")
    hub = dataset.hub
    if hub.revision is None:
        raise UserError(
            f"data set {name}: TOKENCREDIT_DATA is not set and no revision of {hub.id} is pinned: {otherwise}, "
            f"or pin datasets.{name}.hub.revision in datasets.yaml."
        )
    place = f"{hub.id}@{hub.revision}"
    tables = [_loaded(name, hub, config, otherwise) for config in hub.configs or [None]]
    _check_rows(place, name, sum(len(table) for table in tables), hub.rows or dataset.rows)
    records = (record for table in tables for record in table)
    return Source(hub_rows(name, hub, records), "hub", place, None, hub.revision)


def _loaded(name: str, hub: HubSource, config: str | None, otherwise: str) -> Any:
    """One configuration of a Hub data set, from the cache or the network; HF_HUB_OFFLINE=1 allows the cache only."""
    import datasets
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HTTPError

    try:
        if not constants.HF_HUB_OFFLINE:
            # load_dataset answers an unreachable Hub with half a minute of retries: ask once, first.
            HfApi().dataset_info(hub.id, revision=hub.revision, timeout=20)
        return datasets.load_dataset(hub.id, config, split=hub.split, revision=hub.revision)
    except (OSError, ValueError, HTTPError, datasets.exceptions.DatasetsError) as error:
        mode = (
            "HF_HUB_OFFLINE is set and it is not in the cache"
            if constants.HF_HUB_OFFLINE
            else " ".join(str(error).split())
        )
        raise UserError(
            f"data set {name}: {hub.id}@{hub.revision} cannot be had from the Hub ({mode}): {otherwise}."
        ) from error


def hub_rows(name: str, hub: HubSource, records: Iterable[dict[str, Any]]) -> Iterator[Row]:
    """A Hub data set's records as rows, numbered in their order; the answer is found as ``answer_from`` says."""
    before, _, after = hub.wrapper.partition("{problem}")
    for index, record in enumerate(records):
        place = f"{hub.id}: row {index + 1}"
        text = text_field(place, name, hub.problem, _column(name, hub, record, hub.problem))
        if not (text.startswith(before) and text.endswith(after)):
            raise UserError(
                f"{place} of data set {name} is not wrapped as datasets.{name}.hub.wrapper says: {text[:80]!r}."
            )
        value = _column(name, hub, record, hub.answer)
        if hub.answer_from != "column":
            text_field(place, name, hub.answer, value)
        # An answer that is found in a worked solution leaves that solution.
        level, solution = record.get("level"), record.get("solution", None if hub.answer_from == "column" else value)
        try:
            answer = ANSWERS[hub.answer_from](value)
        except UserError as error:
            raise UserError(f"{place}: {hub.answer}: {error}") from error
        yield Row(
            problem_id=f"{name}/{index}",
            problem=text[len(before) : len(text) - len(after)].strip(),
            answer=answer,
            source=name,
            level=None if level is None else str(level),
            solution=solution if isinstance(solution, str) else None,
        )


def _column(name: str, hub: HubSource, record: dict[str, Any], path: str) -> Any:
    value: Any = record
    for part in path.split("."):
        try:
            value = value[int(part) if isinstance(value, list) else part]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            columns = ", ".join(record)
            raise UserError(f"{hub.id}: data set {name} has no column {path}; its columns are {columns}.") from error
    return value
