"""Which study a call of Snakemake is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokencredit.config import Config, StudyFile, Training, read_yaml
from tokencredit.config.parts import PartFile
from tokencredit.config.reading import allowed
from tokencredit.errors import UserError

DEFAULT = "toy"
# A profile's `config:` stands where `--config` does not; by a key of its own it is told from what a person says.
OF_PROFILE = "default_study"
_OF_STUDIES = {*StudyFile.model_fields, *Training.model_fields, *PartFile.model_fields}


def chosen_study(config: Config, said: Mapping[str, Any], files: Sequence[str | Path] = ()) -> str:
    """The study that is named by ``--config study=NAME``, by a file, by the profile (``default_study``), or else by nobody.

    ``said``: the keys of ``--config``. ``files``: those of ``--configfile``; a file of ``config/studies`` means its study, another one may
    say ``study: NAME``. Raises ``UserError`` for another key, for two studies, and for what is no name of a study.
    """
    named = {source: name for path in files for source, name in _in_file(config, Path(path)).items()}
    named |= _in_keys(config, "--config", said)
    by_profile = named.pop(f"--config: {OF_PROFILE}", DEFAULT)
    if len({*named.values()}) > 1:
        both = ", ".join(f"{name} ({source})" for source, name in named.items())
        raise UserError(f"several studies are asked for: {both}; one is allowed.")
    return next(iter(named.values()), by_profile)


def _in_file(config: Config, path: Path) -> dict[str, str]:
    studies = config.folder / "studies"
    if path.resolve().parent == studies.resolve():
        name = path.name.removesuffix(".yaml")
        _check_name(config, f"--configfile {path}", name)
        return {str(path): name}
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: must be a mapping of keys; allowed: study.")
    if len(_OF_STUDIES.intersection(content)) > 1:
        raise UserError(
            f"{path}: is the file of a study and not in {studies}; a study is found there, by its file's name."
        )
    return _in_keys(config, str(path), content)


def _in_keys(config: Config, source: str, said: Mapping[str, Any]) -> dict[str, str]:
    for key in said:
        if key not in ("study", OF_PROFILE):
            of_a_study = f"; {key!r} is a key of a study's file, and is said there" if key in _OF_STUDIES else ""
            raise UserError(f"{source}: {key}: unknown key; {allowed(key, ['study'])}{of_a_study}.")
    for key, name in said.items():
        _check_name(config, f"{source}: {key}", name)
    return {f"{source}: {key}": name for key, name in said.items()}


def _check_name(config: Config, source: str, name: Any) -> None:
    if not isinstance(name, str):
        shown = "nothing" if name is None else repr(name)
        raise UserError(f"{source} = {shown}: must be the name of one study; {allowed(name, config.study_names)}.")
    config.check_study_name(name)
