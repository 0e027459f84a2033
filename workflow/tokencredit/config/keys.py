"""Every key of the tables in ``config/``, and the kinds that all keys are made of: bounds and meanings. Models: ``model_keys``;
studies: ``study_keys``.

The JSON schemas in ``workflow/schemas`` and the tables in ``config/README.md`` are made from these classes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from tokencredit.records import DEFAULT, Bounds

NAME = r"^[a-z0-9]+([.-][a-z0-9]+)*$"
COMMIT = r"^[0-9a-f]{40}$"
SHA256 = r"^[0-9a-f]{64}$"
HUB_ID = r"^[\w.-]+/[\w.-]+$"
SLURM_WORD = r"^[\w.,-]+$"
GPU_TYPE = r"^[\w.]+$"
FEATURES = r"^[\w.,&|*()\[\]:-]+$"
PACKAGE = r"^[A-Za-z0-9]+([._-]+[A-Za-z0-9]+)*$"
VERSION = r"^[A-Za-z0-9][\w.!+-]*$"
# What a person is told where a text does not match.
PATTERNS = {
    NAME: "must be made of lower-case letters and digits, with single dots or hyphens between them",
    COMMIT: "must be a full commit, 40 hexadecimal digits",
    SHA256: "must be a sha256, 64 hexadecimal digits",
    HUB_ID: "must be an owner and a name, as in owner/name",
    SLURM_WORD: "must be made of letters, digits, dots, hyphens and underscores; several are separated by commas",
    GPU_TYPE: "must be made of letters, digits, dots and underscores",
    FEATURES: "must be features of Slurm's nodes, joined by & or |, without spaces and quotes",
    PACKAGE: "must be made of letters and digits, with dots, hyphens or underscores between them",
    VERSION: "must be one version, as in 1.2.0",
}


def _scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("must be a number, a text, true or false")
    return value


Name = Annotated[str, Field(pattern=NAME)]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Portion = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Temperature = Annotated[float, Field(gt=0, le=2)]
Tier = Annotated[int, Field(ge=1, le=3)]
# Its default is left out of what a model or a data set is written as: results from before there were two tasks keep their digests.
Task = Annotated[str, Field(pattern=NAME, exclude_if=lambda task: task == "word-problems")]
# Left out likewise, where it is the one that all had before there were several.
Grader = Annotated[Name, Field(exclude_if=lambda grader: grader == DEFAULT)]
Scalar = Annotated[Any, AfterValidator(_scalar), WithJsonSchema({"type": ["number", "string", "boolean"]})]


class Strict(BaseModel):
    """Unknown keys are errors, a text is never taken for a number, and no number is infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


# ---------------------------------------------------------------- datasets.yaml


_GRADER = "What decides whether an answer to these problems is right: `math`, `exact`, `choice`, or another of `grading/graders`."


class HubSource(Strict):
    """A data set of the Hugging Face Hub, pinned: the revision is the digest of its content."""

    id: Annotated[str, Field(pattern=HUB_ID)] = Field(description="Identifier on the Hub, owner/name.")
    configs: list[str] = Field([], description="Configurations, read one after the other, where there are several.")
    split: str = Field(description="Split of the data set.")
    revision: Annotated[str, Field(pattern=COMMIT)] | None = Field(
        None, description="Commit of the data set. Without it the Hub is refused: only the data root can be used."
    )
    rows: Positive | None = Field(None, description="Rows on the Hub, where they differ from the file's.")
    problem: str = Field(
        "problem", description="Column of the problem text; dots lead into nested columns, as in `prompt.0.content`."
    )
    answer: str = Field("answer", description="Column of the answer; dots as above.")
    wrapper: Annotated[str, Field(pattern=r"\{problem\}")] = Field(
        "{problem}", description="The text around every problem there, which is taken off."
    )
    answer_from: Literal["column", "last-boxed", "after-hashes"] = Field(
        "column",
        description=r"How the answer is found in its column: as it is, in the last `\boxed{}`, or after `####`.",
    )


class FileDataset(Strict):
    """Real problems: a file under the data root (JSON lines, gzip allowed), or the Hub."""

    kind: Literal["file"] = Field(description="`file`: problems that are read.")
    title: str = Field(description="Name in tables and reports.")
    file: str = Field(description="Path below the data root.")
    rows: Positive = Field(description="Rows of the file, before anything is dropped.")
    sha256: Annotated[str, Field(pattern=SHA256)] = Field(description="Digest of the file.")
    hub: HubSource | None = Field(None, description="Where the same problems are on the Hub.")
    level: Annotated[list[str], Field(exclude_if=lambda levels: not levels)] = Field(
        [], description="The levels that are taken, as the rows have them; all without it."
    )
    steps: Annotated[Positive | None, Field(exclude_if=lambda steps: steps is None)] = Field(
        None,
        description="The most calculations of a solution, `<<…>>` as GSM8K marks them; rows with more are left out, and those with none.",
    )
    first: Annotated[Positive | None, Field(exclude_if=lambda first: first is None)] = Field(
        None, description="Only so many rows are taken, the first ones of those that the other filters leave."
    )
    licence: str = Field(description="Licence of the problems.")
    grader: Grader = Field(DEFAULT, description=_GRADER)


class GeneratedDataset(Strict):
    """Problems of the embedded study, made from a seed."""

    kind: Literal["generated"] = Field(description="`generated`: problems that are made.")
    title: str = Field(description="Name in tables and reports.")
    task: Task = Field("word-problems", description="What the problems are about: a file of `data/tasks`.")
    split: Literal["pretrain", "train", "test"] = Field(
        description="Which part of all problem texts they come from; `pretrain`: what embedded models learn from, and supervised starts."
    )
    tiers: Annotated[list[Tier], Field(min_length=1)] = Field(description="Tiers of difficulty, 1 to 3.")
    rows: Positive = Field(description="Number of problems.")
    seed: int = Field(description="Seed of the generator.")
    solutions: Annotated[Literal["task", "english"], Field(exclude_if=lambda solutions: solutions == "task")] = Field(
        "task",
        description="Worked solutions in the `task`'s own words, which embedded models know, or in ordinary `english`.",
    )
    grader: Grader = Field(DEFAULT, description=_GRADER)


Dataset = Annotated[FileDataset | GeneratedDataset, Field(discriminator="kind")]


class DatasetsFile(Strict):
    """Problems to train on and to be tested with."""

    datasets: dict[Name, Dataset] = Field(description="The data sets by name.")


# ---------------------------------------------------------------- methods.yaml


class Recipe(Strict):
    """A recipe, which methods share: clipping, KL, aggregation and sampling of the policy update."""

    clip_low: Share = Field(description="The ratio is clipped below at 1 - `clip_low`.")
    clip_high: Rate = Field(description="The ratio is clipped above at 1 + `clip_high`.")
    kl_coef: NonNegative = Field(
        description="Coefficient of the k3 estimate of KL(policy, reference) in the loss; 0 leaves the reference out."
    )
    aggregation: Literal["token-mean", "sequence-mean", "constant"] = Field(
        description="Mean over all tokens of the minibatch; or over each response and then over responses; or the sum over "
        "responses × `max_response_tokens`."
    )
    dynamic_sampling: bool = Field(
        description="Drop groups whose outcomes are all equal and sample others in their place."
    )
    max_refills: Count = Field(description="How many times a step may sample again to replace dropped groups.")
    overlong_buffer: Count = Field(
        0, description="DAPO's soft overlong penalty over the last so many tokens of the response limit; 0 is off."
    )
    lora_rank: Count = Field(
        0,
        description="Rank of a LoRA adapter on all linear layers, with alpha twice the rank and no dropout, which is trained in place "
        "of the weights and merged at the end; 0 trains all weights.",
    )

    @model_validator(mode="after")
    def _refills(self) -> Recipe:
        if self.max_refills and not self.dynamic_sampling:
            raise ValueError(f"max_refills = {self.max_refills} has no effect while dynamic_sampling = false")
        return self


class Measure(Strict):
    """How the states of a step's responses are measured, by continuations of the policy that is trained; none of them is trained on."""

    continuations: Annotated[int, Field(ge=1)] = Field(
        description="Continuations of a state. Where the information of its next token is measured, its tokens share them by their "
        "probability, at least two for each."
    )
    tolerance: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="How far the value of a state that is not measured may lie from that of the next one, in shares of right responses; or "
        "its information from 0, in nats.",
    )


Restart = Literal["random-step", "beginning"]


class Method(Strict):
    """A method: a recipe, a credit function and its parameters."""

    title: str = Field(description="Name in tables and figures.")
    recipe: Name = Field(description="One of `recipes`.")
    credit: Name = Field(description="The credit function, one of `tokencredit.credit.METHODS`.")
    params: dict[str, Scalar] = Field({}, description="Parameters of the credit function; its own defaults otherwise.")
    reconstruction: bool = Field(
        False, description="True where the published formula was not available, as the credit function declares it."
    )
    teacher: Name | None = Field(
        None, description="The model whose log-probs the credit function asks for, one of models.yaml."
    )
    measure: Measure | None = Field(None, description="How the credit function's measured columns are filled.")
    resets: Restart | None = Field(
        None,
        description="Where half of a prompt's responses go on from its first failed one, for a credit function that asks for `begun`: at a "
        "step of it, drawn at random, or at its beginning.",
    )
    control: Literal["norm-matched", "shuffled", "random-mask", "random-high-mask"] | None = Field(
        None,
        description="What replaces the method's credit, made from it: uniform weights of the same norm, the same credits shuffled within "
        "each response, or as many tokens chosen at random.",
    )


class MethodsFile(Strict):
    """What a run can train with. A method may build on another by `extends: NAME`."""

    recipes: dict[Name, Recipe] = Field(description="The recipes by name.")
    methods: dict[Name, Method] = Field(description="The methods by name.")


# ---------------------------------------------------------------- benchmarks.yaml


class AuditBounds(Strict):
    """What the audit of the grader lets pass: a study whose grader exceeds it does not start."""

    mutants_right: Portion = Field(
        Bounds.mutants_right,
        description="Largest share of the golds with one slip that may be graded right, those left out that are provably equal.",
    )
    rewritings_not_right: Portion = Field(
        Bounds.rewritings_not_right,
        description="Largest share of the golds in other words that may be graded wrong or not at all.",
    )


class Benchmark(Strict):
    """A test set and how it is scored by default."""

    title: str = Field(description="Name in tables and reports.")
    dataset: Name = Field(description="The data set, one of datasets.yaml.")
    samples: Positive = Field(description="Responses per problem, n, unless the study says otherwise.")
    problems: Positive = Field(
        description="Problems after dropping those without an answer: the count contract of every table."
    )
    grader: Annotated[Name | None, Field(exclude_if=lambda grader: grader is None)] = Field(
        None, description="What decides whether an answer is right; the data set's `grader` without it."
    )
    audit: Annotated[AuditBounds, Field(exclude_if=lambda bounds: bounds == AuditBounds())] = Field(
        AuditBounds(), description="Bounds of the grader's audit on this benchmark."
    )


class BenchmarksFile(Strict):
    """Test sets."""

    benchmarks: dict[Name, Benchmark] = Field(description="The benchmarks by name.")


# ---------------------------------------------------------------- gpus.yaml


class Gpu(Strict):
    """A model of GPU, as far as a study's cost depends on it."""

    title: str = Field(description="Its name.")
    memory_gib: Rate = Field(description="Memory in GiB as PyTorch reports it, which is less than the nominal size.")
    bf16_tflops: Rate = Field(description="Peak of dense bfloat16 matrix products, in 10^12 operations a second.")
    tf32_tflops: Rate = Field(description="The same in TF32, at which the head runs in studies with bfloat16.")
    fp32_tflops: Rate = Field(description="The same in float32, at which studies without mixed precision run.")
    bandwidth_gb_s: Rate = Field(description="Memory bandwidth in 10^9 bytes a second.")


class GpusFile(Strict):
    """GPUs that jobs may run on."""

    gpus: dict[Name, Gpu] = Field(description="The GPUs by name.")
