"""The tables of a study as Croissant (http://mlcommons.org/croissant/1.0): what search engines and loaders of data sets read.

The description names the files that make up each table, with their sha256, and of each column that all of them have the type, the unit and
the meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokencredit import files
from tokencredit.config import Study
from tokencredit.study.paths import RESULTS
from tokencredit.tools import columns
from tokencredit.tools.columns import Meaning

PLACES = {"method": r".*/([^/]+)/seed\d+/[^/]+$", "seed": r".*/seed(\d+)/[^/]+$"}  # a column in the path of its file
ORDER = (
    "sc:Text",
    "sc:Float",
    "sc:Integer",
    "sc:Boolean",
)  # of types: a column has the first that one of its values has
FORMATS = {".parquet": "application/x-parquet", ".jsonl": "application/jsonlines"}
# As the specification gives it, in its appendix.
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

Entity = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A table in many files of one name, one for each run or row. ``key``: what tells its lines apart, beside method and seed."""

    name: str
    description: str
    place: str
    columns: Mapping[str, Meaning]
    key: tuple[str, ...]


_TOKEN = ("problem_id", "sample", "position")
TABLES = (
    Table("runs", "One line per training step", "runs/*/seed*/metrics.jsonl", columns.RUNS, ("step",)),
    Table(
        "curves",
        "One line per response of the evaluations inside training",
        "runs/*/seed*/evaluations.parquet",
        columns.CURVES,
        ("step", "benchmark", "problem_id", "sample"),
    ),
    Table(
        "tokens",
        "One line per token of the stored rollouts",
        "runs/*/seed*/rollouts.parquet",
        columns.TOKENS,
        ("step", *_TOKEN),
    ),
    Table(
        "scores",
        "One line per question of every benchmark",
        "eval/*/seed*/scores.parquet",
        columns.SCORES,
        ("benchmark", "problem_id"),
    ),
    Table(
        "states",
        "One line per state at which the credit of tokens was measured",
        "oracle/*/seed*/states.parquet",
        columns.STATES,
        ("cell", *_TOKEN),
    ),
    Table(
        "branches",
        "One line per token that was tried at a measured state, with the outcomes of its continuations",
        "oracle/*/seed*/branches.parquet",
        columns.BRANCHES,
        ("cell", *_TOKEN, "token_id"),
    ),
)


def croissant(study: Study, folder: Path, head: Entity) -> Entity:
    """The description of the tables of a study whose results are below ``folder``.

    ``head``: what is said of all of it, by the terms of schema.org: name, description, licence, day, address.
    """
    found = [(table, held) for table in TABLES if (held := sorted(folder.glob(_place(study, table))))]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        **head,
        "distribution": [
            *(_file_set(table, _place(study, table)) for table, _ in found),
            *(_file_object(folder, path) for _, held in found for path in held),
        ],
        "recordSet": [_methods(study), *(_record_set(table, held) for table, held in found)],
    }


def types_of(held: Iterable[Path]) -> tuple[dict[str, str], list[str]]:
    """The type of each column that all of these files have, and the columns that only some have.

    Where whole numbers and others stand in one column, it is of the others.
    """
    found = [_typed(path) if path.suffix == ".parquet" else _told(path) for path in held]
    every = [name for name in found[0] if all(name in columns for columns in found)]
    forms = {name: set().union(*(columns[name] for columns in found)) for name in every}
    types = {name: next((form for form in ORDER if form in forms[name]), "sc:Float") for name in every}
    return types, sorted({name for columns in found for name in columns} - {*every})


def _place(study: Study, table: Table) -> str:
    """The pattern of a table's files: measurements are a study's own, runs and scores its whole's."""
    return f"{RESULTS}/{study.name if table.place.startswith('oracle') else study.home}/{table.place}"


def _file_set(table: Table, place: str) -> Entity:
    return {
        "@type": "cr:FileSet",
        "@id": f"{table.name}-files",
        "name": f"{table.name}-files",
        "description": f"The files of the table {table.name}",
        "encodingFormat": FORMATS[Path(place).suffix],
        "includes": place,
    }


def _file_object(folder: Path, path: Path) -> Entity:
    name = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": FORMATS[path.suffix],
        "sha256": files.sha256(path),
    }


def _methods(study: Study) -> Entity:
    """The rows of the study by name, with their titles, in the description itself."""
    titles = {row.name: row.title for row in study.rows}
    meanings = {"method": columns.PLACE["method"][1], "title": "Its title in tables and figures"}
    return {
        "@type": "cr:RecordSet",
        "@id": "methods",
        "name": "methods",
        "description": "What the study trains and evaluates",
        "key": {"@id": "methods/method"},
        "field": [
            {"@type": "cr:Field", "@id": f"methods/{name}", "name": name, "description": meaning, "dataType": "sc:Text"}
            for name, meaning in meanings.items()
        ],
        "data": [{"methods/method": name, "methods/title": title} for name, title in titles.items()],
    }


def _record_set(table: Table, held: Iterable[Path]) -> Entity:
    types, of_some = types_of(held)
    source = {"fileSet": {"@id": f"{table.name}-files"}}
    fields = []
    for name, meaning in columns.PLACE.items():
        place = {**source, "extract": {"fileProperty": "fullpath"}, "transform": {"regex": PLACES[name]}}
        fields.append(_field(table, name, "sc:Integer" if name == "seed" else "sc:Text", meaning, place))
    for name in [name for name in types if name not in columns.PLACE]:
        meaning = table.columns.get(name, ("", "A signal that the methods of this study learn from"))
        fields.append(_field(table, name, types[name], meaning, {**source, "extract": {"column": name}}))
    more = f". Some files also have {', '.join(of_some)}" if of_some else ""
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": f"{table.description}{more}",
        "key": [{"@id": f"{table.name}/{name}"} for name in (*columns.PLACE, *table.key)],
        "field": fields,
    }


def _field(table: Table, name: str, form: str, meaning: Meaning, source: Entity) -> Entity:
    unit, holds = meaning
    return {
        "@type": "cr:Field",
        "@id": f"{table.name}/{name}",
        "name": name,
        "description": f"{holds}, in {unit}" if unit else holds,
        "dataType": form,
        **({"unitText": unit} if unit else {}),
        "source": source,
    }


def _typed(path: Path) -> dict[str, set[str]]:
    """The columns of a Parquet table with their type; a column without a value has none."""
    import pyarrow.parquet as parquet
    from pyarrow import types

    kinds = {"sc:Boolean": types.is_boolean, "sc:Integer": types.is_integer, "sc:Float": types.is_floating}
    return {
        field.name: {next((kind for kind, holds in kinds.items() if holds(field.type)), "sc:Text")}
        if not types.is_null(field.type)
        else set()
        for field in parquet.read_schema(path)
    }


def _told(path: Path) -> dict[str, set[str]]:
    """The same of JSON lines."""
    kinds = {bool: "sc:Boolean", int: "sc:Integer", float: "sc:Float", str: "sc:Text"}
    found: dict[str, set[str]] = {}
    for line in files.read_jsonl(path):
        for name, value in line.items():
            found.setdefault(name, set()).update([] if value is None else [kinds[type(value)]])
    return found
