"""Reading the YAML files of ``config/`` and turning whatever is wrong with them into one sentence: file, key, value, what is allowed."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from tokencredit.config.keys import PATTERNS
from tokencredit.errors import UserError

T = TypeVar("T", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """YAML as 1.2 reads it: ``1e-6`` is a number, ``no`` is a text; a key may occur once in a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if key in seen:
                raise yaml.YAMLError(f"the key {key!r} of line {seen[key]} stands again in line {line}")
            seen[key] = line
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":float", ":int", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"true|false"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def read_yaml(path: str | Path) -> Any:
    """The content of a YAML file. Raises ``UserError`` for a file that cannot be read or parsed, and for a repeated key."""
    path = Path(path)
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file.") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start}).") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not valid YAML: {_yaml_problem(error)}.") from error


def parse(path: Path, model: type[T], raw: Any, under: str = "") -> T:
    """``raw``, the content of the key ``under`` of the file, as a ``model``; its first mistake is a ``UserError``."""
    try:
        return model.model_validate(raw if raw is not None else {})
    except ValidationError as error:
        # A misspelt key is both unknown and missing: its unknown name says more.
        first, *others = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        more = f" ({len(others)} more wrong in this file)" if others else ""
        raise UserError(f"{_sentence(path, model, first, under)}{more}.") from error


def renamed(path: Path, raw: Any, names: dict[str, str], under: str = "") -> Any:
    """``raw`` with the keys that had another name in the version before, and a ``FutureWarning`` with a sentence for each.

    A mapping that has both names of one key is a ``UserError``.
    """
    if not isinstance(raw, dict):
        return raw
    for old, new in names.items():
        if old not in raw:
            continue
        where = f"{under}.{old}" if under else old
        if new in raw:
            raise UserError(
                f"{path}: {where}: is the old name of {new!r}, which stands beside it; one of the two is allowed."
            )
        warnings.warn(
            f"{path}: {where}: is called {new!r} now; the next version does not know the old name.",
            FutureWarning,
            stacklevel=2,
        )
    return {names.get(key, key): value for key, value in raw.items()}


def extended(path: Path, raw: Any, table: str) -> Any:
    """``raw`` with the entries of ``table`` that name another by ``extends`` written out: ``params`` merge, other keys replace."""
    if not isinstance(raw, dict) or not isinstance(raw.get(table), dict):
        return raw
    entries = raw[table]
    return {**raw, table: {name: _written_out(path, table, entries, name, ()) for name in entries}}


def _written_out(path: Path, table: str, entries: dict[str, Any], name: str, seen: tuple[str, ...]) -> Any:
    entry = entries[name]
    if not isinstance(entry, dict) or "extends" not in entry:
        return entry
    parent, key = entry["extends"], f"{table}.{name}.extends"
    known(path, key, parent, entries)
    if parent in (*seen, name):
        raise UserError(f"{path}: {key} = {parent!r}: closes a circle ({' -> '.join((*seen, name, parent))}).")
    inherited = _written_out(path, table, entries, parent, (*seen, name))
    own = {key: value for key, value in entry.items() if key != "extends"}
    if not isinstance(inherited, dict):
        return own
    merged = {**inherited, **own}
    if isinstance(inherited.get("params"), dict) and isinstance(own.get("params"), dict):
        merged["params"] = {**inherited["params"], **own["params"]}
    return merged


def known(path: Path, key: str, value: Any, allowed_names: Iterable[str]) -> None:
    """Raise ``UserError`` unless ``value`` is one of ``allowed_names``."""
    names = list(allowed_names)
    if value not in names:
        raise UserError(f"{path}: {key} = {value!r}: not known; {allowed(value, names)}.")


def allowed(value: Any, names: list[str]) -> str:
    """The names that are allowed, and the one that was probably meant."""
    listed = f"allowed: {', '.join(names)}" if names else "nothing is allowed here"
    close = difflib.get_close_matches(str(value), names, n=1)
    return f"{listed} (did you mean {close[0]!r}?)" if close else listed


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())


def _sentence(path: Path, model: type[BaseModel], item: Any, under: str = "") -> str:
    keys, names = _locate(model, item["loc"])
    keys = [*([under] if under else []), *keys]
    kind, context, key = item["type"], item.get("ctx", {}), ".".join(keys) or "the file"
    if kind == "extra_forbidden":
        return f"{path}: {key}: unknown key; {allowed(keys[-1], names)}"
    if kind == "missing":
        return f"{path}: {key}: this key is missing"
    if kind == "union_tag_not_found":
        return f"{path}: {key}.kind: this key is missing"
    if kind == "union_tag_invalid":
        return f"{path}: {key}.kind = {context['tag']!r}: must be one of {context['expected_tags']}"
    value = "" if isinstance(item["input"], dict | list) else f" = {item['input']!r}"
    if kind == "string_pattern_mismatch":
        return f"{path}: {key}{value}: {PATTERNS[context['pattern']]}"
    message = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be").replace("a valid ", "a ")
    message = re.sub(r"must be a dictionary or instance of \w+", "must be a mapping of keys", message)
    return f"{path}: {key}{value}: {message.replace('a dictionary', 'a mapping of keys')}"


def _locate(model: type[BaseModel], location: tuple[Any, ...]) -> tuple[list[str], list[str]]:
    """A pydantic location as the keys that a person wrote, and the keys that are allowed beside the last one."""
    keys: list[str] = []
    names: list[str] = []
    here: type[BaseModel] | dict[str, type[BaseModel]] | None = model
    is_entry = False
    for part in location:
        if part == "[key]":
            continue
        if is_entry:  # the name of a table's entry, or a place in a list
            keys.append(str(part))
            is_entry = False
        elif isinstance(here, dict):  # the kind of an entry: pydantic's addition to the location
            here = here[part]
        else:
            fields = here.model_fields if here is not None else {}
            keys.append(str(part))
            names = list(fields)
            here, is_entry = _inside(fields[part].annotation) if part in fields else (None, False)
    return keys, names


def _inside(annotation: Any) -> tuple[type[BaseModel] | dict[str, type[BaseModel]] | None, bool]:
    """The model that a field holds (models by their kind where there are several), and whether it holds many of them."""
    models = models_of(annotation)
    many = get_origin(annotation) in (dict, list)
    if len(models) > 1:
        return {get_args(model.model_fields["kind"].annotation)[0]: model for model in models}, many
    return (models[0] if models else None), many


def models_of(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [model for argument in get_args(kind) for model in models_of(argument)]
