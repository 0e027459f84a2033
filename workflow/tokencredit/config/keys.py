"""Every key of every file in ``config/``: its kind, its bounds and its meaning.

The JSON schemas in ``workflow/schemas`` and the tables in ``config/README.md`` are made from these classes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

NAME = r"^[a-z0-9]+([.-][a-z0-9]+)*$"
COMMIT = r"^[0-9a-f]{40}$"
SHA256 = r"^[0-9a-f]{64}$"
HUB_ID = r"^[\w.-]+/[\w.-]+$"
# What a person is told where a text does not match.
PATTERNS = {
    NAME: "must be made of lower-case letters and digits, with single dots or hyphens between them",
    COMMIT: "must be a full commit, 40 hexadecimal digits",
    SHA256: "must be a sha256, 64 hexadecimal digits",
    HUB_ID: "must be an owner and a name, as in owner/name",
}


def _scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("must be a number, a text, true or false")
    return value


Name = Annotated[str, Field(pattern=NAME)]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Temperature = Annotated[float, Field(gt=0, le=2)]
Tier = Annotated[int, Field(ge=1, le=3)]
Scalar = Annotated[Any, AfterValidator(_scalar), WithJsonSchema({"type": ["number", "string", "boolean"]})]


class Strict(BaseModel):
    """Unknown keys are errors, and a text is never taken for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


# ---------------------------------------------------------------- datasets.yaml


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
    licence: str = Field(description="Licence of the problems.")


class GeneratedDataset(Strict):
    """Problems of the embedded study, made from a seed."""

    kind: Literal["generated"] = Field(description="`generated`: problems that are made.")
    title: str = Field(description="Name in tables and reports.")
    split: Literal["train", "test"] = Field(
        description="Which part of all problem texts they come from; pretraining has its own."
    )
    tiers: Annotated[list[Tier], Field(min_length=1)] = Field(description="Tiers of difficulty, 1 to 3.")
    rows: Positive = Field(description="Number of problems.")
    seed: int = Field(description="Seed of the generator.")


Dataset = Annotated[FileDataset | GeneratedDataset, Field(discriminator="kind")]


class DatasetsFile(Strict):
    """Problems to train on and to be tested with."""

    datasets: dict[Name, Dataset] = Field(description="The data sets by name.")


# ---------------------------------------------------------------- models.yaml


class Pretraining(Strict):
    """Supervised training of an embedded model on generated worked solutions."""

    seed: int = Field(description="Seed of the weights, the problems and their order.")
    steps: Positive = Field(description="Optimiser updates.")
    batch: Positive = Field(description="Worked solutions per update.")
    learning_rate: Rate = Field(description="Peak learning rate of AdamW.")
    warmup_steps: Count = Field(description="Updates of linear warm-up.")
    weight_decay: NonNegative = Field(description="Weight decay of AdamW.")
    tiers: Annotated[list[Tier], Field(min_length=1)] = Field(description="Tiers of the problems to learn from.")
    problems: Positive = Field(description="Generated problems with worked solutions to train on.")


class EmbeddedModel(Strict):
    """A Qwen3-architecture model trained from scratch here."""

    kind: Literal["embedded"] = Field(description="`embedded`: a model that is made here.")
    title: str = Field(description="Name in tables and reports.")
    hidden_size: Positive = Field(description="Width of the residual stream.")
    layers: Positive = Field(description="Transformer layers.")
    heads: Positive = Field(description="Attention heads of a layer; they must divide `hidden_size`.")
    intermediate_size: Positive = Field(description="Width of the feed-forward layers.")
    max_tokens: Positive = Field(description="Longest prompt and response together, in tokens.")
    pretraining: Pretraining = Field(description="How the base model is made.")
    prompt: str = Field(description="The whole prompt with `{problem}` in it; nothing is added.")

    @model_validator(mode="after")
    def _fits(self) -> EmbeddedModel:
        if self.hidden_size % self.heads:
            raise ValueError(f"heads = {self.heads} must divide hidden_size = {self.hidden_size}")
        return _with_problem(self)


class HubModel(Strict):
    """A released model of the Hugging Face Hub."""

    kind: Literal["hub"] = Field(description="`hub`: a model that is downloaded.")
    title: str = Field(description="Name in tables and reports.")
    id: Annotated[str, Field(pattern=HUB_ID)] = Field(description="Identifier on the Hub, owner/name.")
    revision: Annotated[str, Field(pattern=COMMIT)] | None = Field(
        None,
        description="Commit of the model. Without it the newest one is taken when the model is fetched: "
        "the result is then not pinned, and `model.json` records which commit it was.",
    )
    parameters: Positive = Field(description="Number of parameters, recorded with the model.")
    prompt: str = Field(
        description="The whole prompt, special tokens included, with `{problem}` in it; nothing is added, "
        "no chat template is applied."
    )

    @model_validator(mode="after")
    def _fits(self) -> HubModel:
        return _with_problem(self)


def _with_problem(model: Any) -> Any:
    if model.prompt.count("{problem}") != 1:
        raise ValueError("prompt must contain {problem} once")
    return model


Model = Annotated[EmbeddedModel | HubModel, Field(discriminator="kind")]


class ModelsFile(Strict):
    """Models to train and to evaluate."""

    models: dict[Name, Model] = Field(description="The models by name.")


# ---------------------------------------------------------------- methods.yaml


class Base(Strict):
    """What a method is built on: clipping, KL, aggregation and sampling of the policy update."""

    clip_low: Share = Field(description="The ratio is clipped below at 1 - `clip_low`.")
    clip_high: Rate = Field(description="The ratio is clipped above at 1 + `clip_high`.")
    kl_coef: NonNegative = Field(
        description="Coefficient of the k3 estimate of KL(policy, reference) in the loss; 0 leaves the reference out."
    )
    aggregation: Literal["token-mean", "sequence-mean"] = Field(
        description="Mean over all tokens of the minibatch, or over each response and then over responses."
    )
    dynamic_sampling: bool = Field(
        description="Drop groups whose outcomes are all equal and sample others in their place."
    )
    max_refills: Count = Field(description="How many times a step may sample again to replace dropped groups.")
    overlong_buffer: Count = Field(
        0, description="DAPO's soft overlong penalty over the last so many tokens of the response limit; 0 is off."
    )

    @model_validator(mode="after")
    def _refills(self) -> Base:
        if self.max_refills and not self.dynamic_sampling:
            raise ValueError(f"max_refills = {self.max_refills} has no effect while dynamic_sampling = false")
        return self


class Method(Strict):
    """A line of the results: a base, a credit function and its parameters."""

    title: str = Field(description="Name in tables and figures.")
    base: Name = Field(description="One of `bases`.")
    credit: Name = Field(description="The credit function, one of `tokencredit.credit.METHODS`.")
    params: dict[str, Scalar] = Field({}, description="Parameters of the credit function; its own defaults otherwise.")
    reconstruction: bool = Field(False, description="True where the published formula was not available.")


class MethodsFile(Strict):
    """What a run can train with. A method may build on another by `extends: NAME`."""

    bases: dict[Name, Base] = Field(description="The bases by name.")
    methods: dict[Name, Method] = Field(description="The methods by name.")


# ---------------------------------------------------------------- benchmarks.yaml


class Benchmark(Strict):
    """A test set and how it is scored by default."""

    title: str = Field(description="Name in tables and reports.")
    dataset: Name = Field(description="The data set, one of datasets.yaml.")
    samples: Positive = Field(description="Responses per problem, n, unless the study says otherwise.")
    problems: Positive = Field(
        description="Problems after dropping those without an answer: the count contract of every table."
    )


class BenchmarksFile(Strict):
    """Test sets."""

    benchmarks: dict[Name, Benchmark] = Field(description="The benchmarks by name.")


# ---------------------------------------------------------------- studies/*.yaml


class Sampling(Strict):
    """How responses are drawn."""

    temperature: Temperature = Field(description="Sampling temperature, above 0 and at most 2.")
    top_p: Share = Field(
        description="Nucleus sampling: the smallest set of tokens with this much probability; 1 is off."
    )
    max_prompt_tokens: Positive = Field(
        description="Longest prompt. Longer training problems are left out and counted; a longer benchmark problem is an error."
    )
    max_response_tokens: Positive = Field(description="Longest response; a longer one is cut and graded as it is.")


class Curve(Strict):
    """The evaluation inside training that draws learning curves."""

    benchmark: Name = Field(description="The benchmark, one of benchmarks.yaml.")
    every: Positive = Field(description="Steps between evaluations; step 0 and the last step are always evaluated.")
    samples: Positive = Field(description="Responses per problem.")
    problems: Positive = Field(description="The first so many problems of the benchmark.")
    temperature: Temperature = Field(description="Sampling temperature.")
    top_p: Share = Field(description="Nucleus sampling.")


class RolloutRecord(Strict):
    """Which rollouts are stored token by token."""

    every: Positive = Field(description="Steps between stored steps; the first and the last are always stored.")
    prompts: Positive = Field(description="Prompts of a stored step, all responses of each.")


class Training(Strict):
    """The runs of a study: every method with every seed."""

    datasets: Annotated[list[Name], Field(min_length=1)] = Field(description="Training sets, pooled.")
    methods: Annotated[list[Name], Field(min_length=1)] = Field(description="Methods to train, of methods.yaml.")
    seeds: Annotated[list[Count], Field(min_length=1)] = Field(
        description="Training seeds; one run per method and seed."
    )
    steps: Positive = Field(description="Steps of training; a step is one batch of rollouts.")
    prompts_per_step: Positive = Field(description="Groups that a step trains on.")
    prompts_per_update: Positive = Field(
        description="Groups of one optimiser update; must divide `prompts_per_step`. The quotient is the number of updates per step."
    )
    group_size: Annotated[int, Field(ge=2)] = Field(description="Responses per prompt, G.")
    sampling: Sampling = Field(description="How rollouts are drawn.")
    learning_rate: Rate = Field(description="Learning rate of AdamW, constant after the warm-up.")
    warmup_steps: Count = Field(description="Steps of linear warm-up.")
    weight_decay: NonNegative = Field(description="Weight decay of AdamW.")
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="First-moment decay of AdamW.")
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = Field(0.999, description="Second-moment decay of AdamW.")
    grad_clip: Rate = Field(description="Largest norm of the gradient of an update.")
    micro_batch_tokens: Positive = Field(
        description="Tokens (prompt and response) of one forward and backward pass: memory only, never the result."
    )
    mixed_precision: Literal["no", "bf16"] = Field(description="Precision of the forward and backward passes.")
    checkpoint_every: Positive = Field(description="Steps between checkpoints, from which a killed run goes on.")
    curve: Curve = Field(description="The evaluation inside training.")
    rollouts: RolloutRecord = Field(description="What is stored for the token-level analyses.")

    @model_validator(mode="after")
    def _combinations(self) -> Training:
        if self.prompts_per_step % self.prompts_per_update:
            raise ValueError(
                f"prompts_per_update = {self.prompts_per_update} must divide prompts_per_step = {self.prompts_per_step}"
            )
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps = {self.warmup_steps} must not exceed steps = {self.steps}")
        for key, values in (("datasets", self.datasets), ("methods", self.methods), ("seeds", self.seeds)):
            _distinct(key, values)
        return self

    @property
    def updates_per_step(self) -> int:
        return self.prompts_per_step // self.prompts_per_update


class EvaluationRow(Strict):
    """A model that is evaluated only: the base, or a released checkpoint."""

    name: Name = Field(description="Name of the row in paths; it must differ from the study's methods.")
    model: Name = Field(description="The model, one of models.yaml.")
    title: str = Field(description="Name in tables and figures.")


class BenchmarkUse(Strict):
    """A benchmark of the study."""

    benchmark: Name = Field(description="The benchmark, one of benchmarks.yaml.")
    samples: Positive | None = Field(None, description="Responses per problem; the benchmark's own number without it.")
    problems: Positive | None = Field(None, description="The first so many problems of the benchmark; all without it.")


class Evaluation(Strict):
    """The evaluation of every row of the results table."""

    engine: Literal["transformers"] = Field(description="What generates.")
    seed: int = Field(description="Seed of all evaluation sampling; the same for every row, so that rows are paired.")
    sampling: Sampling = Field(description="How responses are drawn.")
    rows: list[EvaluationRow] = Field([], description="Models that are evaluated beside the trained ones.")
    benchmarks: Annotated[list[BenchmarkUse], Field(min_length=1)] = Field(description="The study's benchmarks.")

    @model_validator(mode="after")
    def _combinations(self) -> Evaluation:
        _distinct("rows", [row.name for row in self.rows])
        _distinct("benchmarks", [use.benchmark for use in self.benchmarks])
        return self


class JobResources(Strict):
    """What one job of a kind asks of the scheduler."""

    gpu: Count = Field(0, description="GPUs.")
    mem_mb: Positive = Field(description="Memory in MB.")
    runtime: Positive = Field(description="Minutes.")
    threads: Positive = Field(1, description="CPU threads.")


class Resources(Strict):
    """What jobs ask of the scheduler; nothing here changes a result."""

    pretrain: JobResources = Field(description="Making or fetching a base model.")
    train: JobResources = Field(description="One training run.")
    generate: JobResources = Field(description="The responses of one row to one benchmark.")
    light: JobResources = Field(description="Everything else: data, grading, scores, tables, figures.")


class StudyFile(Strict):
    """One study: what is trained, how it is evaluated, and what its jobs ask for."""

    title: str = Field(description="Title of the report.")
    model: Name = Field(description="The model that is trained, one of models.yaml.")
    reference: Name = Field(description="The method that the others are compared with, one of `training.methods`.")
    training: Training = Field(description="The runs.")
    evaluation: Evaluation = Field(description="The evaluation of every row.")
    resources: Resources = Field(description="What jobs ask of the scheduler.")


def _distinct(key: str, values: list[Any]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{key}: {value!r} is listed {values.count(value)} times; every entry may be listed once")
