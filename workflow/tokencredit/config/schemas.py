"""Files generated from the classes of ``keys``: the JSON schemas of the files, and the tables of ``config/README.md``."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from tokencredit.config.bench_keys import BenchFile
from tokencredit.config.claim_keys import ClaimsFile
from tokencredit.config.keys import NAME, BenchmarksFile, DatasetsFile, GpusFile, MethodsFile
from tokencredit.config.model_keys import ModelsFile
from tokencredit.config.parts import PartFile
from tokencredit.config.reading import models_of
from tokencredit.config.study_keys import StudyFile
from tokencredit.config.target_keys import TargetsFile

FILES: dict[str, type[BaseModel]] = {
    "study": StudyFile,
    "part": PartFile,
    "methods": MethodsFile,
    "models": ModelsFile,
    "datasets": DatasetsFile,
    "benchmarks": BenchmarksFile,
    "gpus": GpusFile,
    "targets": TargetsFile,
    "claims": ClaimsFile,
    "creditbench": BenchFile,
}


def schema_of(file: str) -> dict[str, Any]:
    """The JSON schema (2020-12) of one of ``FILES``. A method may leave out what it takes over by ``extends``."""
    schema = FILES[file].model_json_schema()
    for node in [schema, *schema.get("$defs", {}).values()]:
        for table in node["properties"].values():
            if "patternProperties" in table:  # names of entries that do not match are refused, not ignored
                table["additionalProperties"] = False
    if file == "methods":
        whole = schema["$defs"]["Method"]
        keys = {"extends": {"type": "string", "description": "The method that is taken over."}, **whole["properties"]}
        words = {"title": "Variant", "description": "A method that extends another."}
        schema["$defs"]["Variant"] = {**whole, **words, "properties": keys, "required": ["extends"]}
        entries = schema["properties"]["methods"]["patternProperties"]
        entries[NAME] = {"anyOf": [{"$ref": "#/$defs/Method"}, {"$ref": "#/$defs/Variant"}]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def key_tables(file: str) -> str:
    """Markdown tables of every key of a file, one table per class, in the order in which a reader meets them.

    A class that builds on an earlier one has its further keys alone. A part's classes that a study has too are shown there.
    """
    shown = classes_of(FILES["study"]) if file == "part" else []
    parts = []
    for model in classes_of(FILES[file]):
        if model in shown:
            parts.append(f"**{model.__name__}** as above.")
            continue
        shown.append(model)
        base = next((other for other in model.__mro__[1:] if other in shown), None)
        known = base.model_fields if base else {}
        heading = f"**{model.__name__}.** {' '.join((model.__doc__ or '').split())}"
        lines = [heading + (f" All keys of {base.__name__}, and:" if base else ""), ""]
        lines += ["| key | kind | default | meaning |", "|---|---|---|---|"]
        for name, field in model.model_fields.items():
            if name in known:
                continue
            default = "required" if field.default is PydanticUndefined else f"`{_yaml(field.default)}`"
            lines.append(f"| `{name}` | {_kind(model, name)} | {default} | {field.description} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def fill_tables(text: str) -> str:
    """``text`` with the tables between ``<!-- keys: FILE -->`` and ``<!-- end -->`` written anew."""

    def table(match: re.Match[str]) -> str:
        return f"<!-- keys: {match[1]} -->\n\n{key_tables(match[1])}\n\n<!-- end -->"

    return re.sub(r"<!-- keys: (\w+) -->.*?<!-- end -->", table, text, flags=re.DOTALL)


def classes_of(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The class of a file and those of everything in it, each once."""
    found = [model]
    for field in model.model_fields.values():
        for inner in models_of(field.annotation):
            found += [other for other in classes_of(inner) if other not in found]
    return found


def _kind(model: type[BaseModel], name: str) -> str:
    inner = models_of(model.model_fields[name].annotation)
    node = model.model_json_schema()["properties"][name]
    if inner:
        names = " or ".join(other.__name__ for other in inner)
        return {"array": f"list of {names}", "object": f"names to {names}"}.get(node.get("type", ""), names)
    return _words(next((option for option in node.get("anyOf", [node]) if option.get("type") != "null"), node))


def _words(node: dict[str, Any]) -> str:
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    if node.get("type") == "array":
        return f"list of {_words(node['items'])}"
    if node.get("type") == "object":
        return "parameters by name"
    word = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}[node["type"]]
    signs = (("exclusiveMinimum", ">"), ("minimum", "≥"), ("exclusiveMaximum", "<"), ("maximum", "≤"))
    bounds = [f"{sign} {node[key]:g}" for key, sign in signs if key in node]
    return f"{word} {', '.join(bounds)}".strip()


def _yaml(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
