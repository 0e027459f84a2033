"""A study that is a part of another: some of its methods under some of its seeds, with tables, figures and a page of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from tokencredit.config.claim_keys import BASE
from tokencredit.config.common_keys import distinct
from tokencredit.config.keys import Count, Name, Strict
from tokencredit.config.reading import allowed, known
from tokencredit.config.study_keys import Oracle, StudyFile
from tokencredit.errors import UserError


class PartFile(Strict):
    """A part of another study: its runs, evaluations and audits are that one's, and so is everything that is not said here."""

    title: str = Field(description="Title of the report.")
    part_of: Name = Field(description="The whole, another file of `studies` that is no part itself.")
    methods: Annotated[list[Name], Field(min_length=1)] = Field(
        description="Some of the whole's methods, its `reference` among them."
    )
    seeds: Annotated[list[Count], Field(min_length=1)] = Field(description="Some of the whole's training seeds.")
    oracle: Oracle | None = Field(
        None,
        description="A measurement of the credit of tokens of its own; the whole's without it, and none if it is null.",
    )

    @model_validator(mode="after")
    def _combinations(self) -> PartFile:
        distinct("methods", self.methods)
        distinct("seeds", self.seeds)
        return self


def is_part(raw: Any) -> bool:
    """Whether the content of a study's file is that of a part: by its key, or where that is misspelt by what else stands there."""
    return isinstance(raw, dict) and (
        "part_of" in raw or ("training" not in raw and bool({"methods", "seeds"} & {*raw}))
    )


def cut(path: Path, part: PartFile, whole: StudyFile) -> StudyFile:
    """The study that ``part``, the file ``path``, says. Raises ``UserError`` for what its ``whole`` has not.

    The experiments of the whole were declared for all of its seeds, so a part with fewer decides none.
    """
    for key, chosen, there in (
        ("methods", part.methods, whole.training.methods),
        ("seeds", part.seeds, whole.training.seeds),
    ):
        for each in chosen:
            if each not in there:
                names = allowed(each, [str(name) for name in there])
                raise UserError(f"{path}: {key} = {each!r}: is not in study {part.part_of}; {names}.")
    if whole.reference not in part.methods:
        raise UserError(
            f"{path}: methods: {whole.reference!r} is missing, the reference of study {part.part_of}, with which the others are compared."
        )
    own = "oracle" in part.model_fields_set
    oracle = part.oracle if own else whole.oracle
    for policy in oracle.policies if oracle else ():
        if own:
            known(path, "oracle.policies", policy, [BASE, *part.methods])
        elif policy not in (BASE, *part.methods):
            raise UserError(
                f"{path}: oracle: this key is missing, and study {part.part_of} measures {policy!r}, which is no method of the part; "
                f"give it policies of its own ({', '.join([BASE, *part.methods])}), or null for no measurement."
            )
    training = whole.training.model_copy(update={"methods": part.methods, "seeds": part.seeds})
    experiments = whole.experiments if part.seeds == whole.training.seeds else {}
    changed = {"title": part.title, "training": training, "experiments": experiments}
    return whole.measured_by(oracle).model_copy(update=changed)
