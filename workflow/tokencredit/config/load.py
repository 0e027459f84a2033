"""The whole configuration: its tables, and the studies by name, each checked against the tables."""

from __future__ import annotations

import re
from pathlib import Path

from tokencredit.config.keys import NAME, PATTERNS
from tokencredit.config.parts import PartFile, cut, is_part
from tokencredit.config.reading import allowed, known, parse, read_yaml
from tokencredit.config.study import Study
from tokencredit.config.study_checks import check_study
from tokencredit.config.study_keys import StudyFile
from tokencredit.config.tables import Tables
from tokencredit.errors import UserError

# Below results, what is no study's own; `benchmarks` are the measurements of this machine.
SHARED = ("benchmarks", "data", "logs", "models")


class Config(Tables):
    """All of ``config/``: the tables, and the studies by name."""

    def check_study_name(self, name: str) -> None:
        """Raise ``UserError`` unless there is a study of that name."""
        if name in self.study_names:
            if not re.fullmatch(NAME, name):
                raise UserError(f"{self._file_of(name)}: the name of a study's file {PATTERNS[NAME]}.")
            if name in SHARED:
                raise UserError(
                    f"{self._file_of(name)}: results/{name} is a folder of all studies; give it another name."
                )
            return
        bare = Path(name).name.removesuffix(".yaml").removesuffix(".yml")
        if bare != name:
            raise UserError(f"{name}: is no name of a study but of a file; {allowed(bare, self.study_names)}.")
        if self._file_of(name).with_suffix(".yml").exists():
            raise UserError(f"{self._file_of(name).with_suffix('.yml')}: must end in .yaml to be a study.")
        raise UserError(f"{self._file_of(name)}: no such study; {allowed(name, self.study_names)}.")

    def _file_of(self, study: str) -> Path:
        return self.folder / "studies" / f"{study}.yaml"

    def study(self, name: str) -> Study:
        """The study ``config/studies/<name>.yaml``, with every name in it checked against the other files."""
        self.check_study_name(name)
        path = self._file_of(name)
        raw = read_yaml(path)
        if is_part(raw):
            part = parse(path, PartFile, raw)
            whole = self._whole(path, part.part_of)
            return Study(name, cut(path, part, whole.file), self, whole)
        file = parse(path, StudyFile, raw)
        check_study(path, file, self)
        return Study(name, file, self)

    def _whole(self, path: Path, name: str) -> Study:
        """The study that the file ``path`` is a part of."""
        if name == path.stem:
            raise UserError(f"{path}: part_of = {name!r}: is this study itself; name the whole.")
        known(path, "part_of", name, [other for other in self.study_names if other != path.stem])
        if is_part(read_yaml(path.with_stem(name))):
            raise UserError(f"{path}: part_of = {name!r}: is a part itself; name the whole.")
        return self.study(name)


def load_study(folder: str | Path, name: str) -> Study:
    """The study ``name`` of the configuration folder, resolved and checked. Raises ``UserError`` for anything wrong in it."""
    return Config(folder).study(name)
