"""The typed configuration: what is run. Every file of ``config/`` is read here, checked whole, and resolved before the first job.

Unknown keys, unknown names and impossible combinations are ``UserError`` sentences that name the file, the key, the value and what is
allowed. This module imports no heavy package: the graph reads it at every start.
"""

from __future__ import annotations

import difflib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tokencredit.credit import METHODS
from tokencredit.errors import UserError

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Temperature = Annotated[float, Field(gt=0, le=2)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# ---------------------------------------------------------------- datasets.yaml


class HubSource(Strict):
    """A data set of the Hugging Face Hub, pinned: the revision is the digest of its content."""

    id: str
    config: str | None = None
    split: str
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = Field(
        None, description="Commit of the data set. Without it the Hub is refused: only the data root can be used."
    )
    rows: Positive | None = Field(None, description="Rows on the Hub, where they differ from the file's.")
    problem: str = Field("problem", description="Column of the problem text.")
    answer: str = Field("answer", description="Column of the answer.")
    answer_from: Literal["column", "last-boxed", "after-hashes"] = Field(
        "column", description="How the answer is found in its column: as it is, in the last \\boxed{}, or after '####'."
    )


class FileDataset(Strict):
    """Real problems: a file under the data root (JSON lines, gzip allowed), or the Hub."""

    kind: Literal["file"]
    title: str
    file: str
    rows: Positive
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    hub: HubSource | None = None
    licence: str


class GeneratedDataset(Strict):
    """Problems of the embedded study, made from a seed."""

    kind: Literal["generated"]
    title: str
    split: Literal["train", "test"] = Field(
        description="Which part of all problem texts they come from; pretraining has its own."
    )
    tiers: list[Annotated[int, Field(ge=1, le=3)]]
    rows: Positive
    seed: int


Dataset = Annotated[FileDataset | GeneratedDataset, Field(discriminator="kind")]


# ---------------------------------------------------------------- models.yaml


class Pretraining(Strict):
    """Supervised training of an embedded model on generated worked solutions."""

    seed: int
    steps: Positive
    batch: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    warmup_steps: Count
    weight_decay: NonNegative
    tiers: list[Annotated[int, Field(ge=1, le=3)]]
    problems: Positive = Field(description="Generated problems with worked solutions to train on.")


class EmbeddedModel(Strict):
    """A Qwen3-architecture model trained from scratch here."""

    kind: Literal["embedded"]
    title: str
    hidden_size: Positive
    layers: Positive
    heads: Positive
    intermediate_size: Positive
    max_tokens: Positive
    pretraining: Pretraining
    prompt: str


class HubModel(Strict):
    """A released model of the Hugging Face Hub."""

    kind: Literal["hub"]
    title: str
    id: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = Field(
        None, description="Commit of the model. Without it the newest one is taken, and the run records which that was."
    )
    parameters: Positive
    prompt: str = Field(
        description="The whole prompt with {problem} in it; nothing is added, no chat template is applied."
    )

    @model_validator(mode="after")
    def _has_placeholder(self) -> HubModel:
        if "{problem}" not in self.prompt:
            raise ValueError("prompt must contain {problem}")
        return self


Model = Annotated[EmbeddedModel | HubModel, Field(discriminator="kind")]


# ---------------------------------------------------------------- methods.yaml


class Base(Strict):
    """What a method is built on: clipping, KL, aggregation and sampling of the policy update."""

    clip_low: Share
    clip_high: Annotated[float, Field(gt=0)]
    kl_coef: NonNegative = Field(
        description="Coefficient of the k3 estimate of KL(policy, reference); 0 leaves the reference out."
    )
    aggregation: Literal["token-mean", "sequence-mean"]
    dynamic_sampling: bool = Field(
        description="Drop groups whose rewards are all equal and sample others in their place."
    )
    max_refills: Count = Field(description="How many times a step may sample again to replace dropped groups.")
    overlong_buffer: Count = Field(
        0, description="DAPO's soft overlong penalty over the last so many tokens; 0 is off."
    )


class Method(Strict):
    """A line of the results: a base, a credit function and its parameters."""

    title: str
    base: Name
    credit: Name
    params: dict[str, float | int | str | bool] = {}
    reconstruction: bool = Field(False, description="True where the published formula was not available.")


# ---------------------------------------------------------------- benchmarks.yaml


class Benchmark(Strict):
    """A test set and how it is scored by default."""

    title: str
    dataset: Name
    samples: Positive = Field(description="Responses per problem, n.")
    problems: Positive = Field(
        description="Problems after dropping those without an answer: the count contract of every table."
    )


# ---------------------------------------------------------------- studies/*.yaml


class Sampling(Strict):
    temperature: Temperature
    top_p: Share
    max_prompt_tokens: Positive
    max_response_tokens: Positive


class Curve(Strict):
    """The evaluation inside training that draws learning curves."""

    benchmark: Name
    every: Positive = Field(description="Steps between evaluations; step 0 and the last step are always evaluated.")
    samples: Positive
    problems: Positive = Field(description="The first so many problems of the benchmark.")
    temperature: Temperature
    top_p: Share


class RolloutRecord(Strict):
    """Which rollouts are stored token by token."""

    every: Positive
    prompts: Positive


class Training(Strict):
    datasets: list[Name]
    methods: list[Name]
    seeds: list[Count]
    steps: Positive
    prompts_per_step: Positive
    prompts_per_update: Positive
    group_size: Annotated[int, Field(ge=2)]
    sampling: Sampling
    learning_rate: Annotated[float, Field(gt=0)]
    warmup_steps: Count
    weight_decay: NonNegative
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    grad_clip: Annotated[float, Field(gt=0)]
    micro_batch_tokens: Positive = Field(description="Tokens (prompt and response) of one forward and backward pass.")
    mixed_precision: Literal["no", "bf16"]
    checkpoint_every: Positive
    curve: Curve
    rollouts: RolloutRecord

    @model_validator(mode="after")
    def _batch_divides(self) -> Training:
        if self.prompts_per_step % self.prompts_per_update:
            raise ValueError(
                f"prompts_per_update = {self.prompts_per_update} must divide prompts_per_step = {self.prompts_per_step}"
            )
        if len(set(self.methods)) != len(self.methods) or len(set(self.seeds)) != len(self.seeds):
            raise ValueError("methods and seeds must not repeat")
        return self

    @property
    def updates_per_step(self) -> int:
        return self.prompts_per_step // self.prompts_per_update


class EvaluationRow(Strict):
    """A model that is evaluated only: the base, or a released checkpoint."""

    name: Name
    model: Name
    title: str


class BenchmarkUse(Strict):
    benchmark: Name
    samples: Positive | None = None
    problems: Positive | None = Field(None, description="The first so many problems of the benchmark; all without it.")


class Evaluation(Strict):
    engine: Literal["transformers"]
    seed: int
    sampling: Sampling
    rows: list[EvaluationRow] = []
    benchmarks: list[BenchmarkUse]


class JobResources(Strict):
    """What one job of a kind asks of the scheduler."""

    gpu: Count = 0
    mem_mb: Positive
    runtime: Positive = Field(description="Minutes.")
    threads: Positive = 1


class Resources(Strict):
    pretrain: JobResources
    train: JobResources
    generate: JobResources
    light: JobResources


class StudyFile(Strict):
    """One study as it is written in ``config/studies``."""

    title: str
    model: Name
    reference: Name = Field(description="The method that the others are compared with.")
    training: Training
    evaluation: Evaluation
    resources: Resources


# ---------------------------------------------------------------- the resolved whole


class Row(Strict):
    """A line of the results table: a trained cell with its seed, or a model that is evaluated only (``cell`` None)."""

    name: str
    seed: int
    title: str
    model: str
    cell: str | None

    @property
    def path(self) -> str:
        return f"{self.name}/seed{self.seed}"


class Study:
    """A study with everything it names: the only object that other modules take their settings from."""

    def __init__(self, name: str, file: StudyFile, config: Config) -> None:
        self.name = name
        self.file = file
        self.config = config
        self.title = file.title
        self.training = file.training
        self.evaluation = file.evaluation
        self.resources = file.resources
        self.reference = file.reference
        self.model_name = file.model

    @cached_property
    def methods(self) -> dict[str, Method]:
        return {name: self.config.methods[name] for name in self.training.methods}

    @cached_property
    def rows(self) -> list[Row]:
        only = [Row(name=row.name, seed=0, title=row.title, model=row.model, cell=None) for row in self.evaluation.rows]
        trained = [
            Row(name=name, seed=seed, title=method.title, model=self.model_name, cell=name)
            for name, method in self.methods.items()
            for seed in self.training.seeds
        ]
        return only + trained

    def row(self, name: str, seed: int) -> Row:
        for row in self.rows:
            if (row.name, row.seed) == (name, seed):
                return row
        raise UserError(
            f"{name} with seed {seed} is not a row of study {self.name}; {_allowed(name, [r.path for r in self.rows])}."
        )

    @cached_property
    def benchmarks(self) -> dict[str, Benchmark]:
        """The study's benchmarks with the study's own numbers of samples and problems."""
        return {
            use.benchmark: self.config.benchmarks[use.benchmark].model_copy(
                update=use.model_dump(include={"samples", "problems"}, exclude_none=True)
            )
            for use in self.evaluation.benchmarks
        }

    @cached_property
    def model_names(self) -> list[str]:
        return list(dict.fromkeys([self.model_name, *(row.model for row in self.evaluation.rows)]))

    def base_of(self, method: str) -> Base:
        return self.config.bases[self.methods[method].base]

    def training_config(self, cell: str) -> dict[str, Any]:
        """Everything in the configuration that decides what one cell's training computes, as plain JSON."""
        if cell not in self.methods:
            raise UserError(f"{cell} is not a trained cell of study {self.name}; {_allowed(cell, list(self.methods))}.")
        method = self.methods[cell]
        training = self.training.model_dump(
            mode="json", exclude={"methods", "seeds", "micro_batch_tokens", "checkpoint_every"}
        )
        return {
            "model": {self.model_name: self.config.models[self.model_name].model_dump(mode="json")},
            "datasets": {name: self.config.datasets[name].model_dump(mode="json") for name in self.training.datasets},
            "curve_dataset": self.config.benchmarks[self.training.curve.benchmark].model_dump(mode="json"),
            "base": self.base_of(cell).model_dump(mode="json"),
            "credit": method.credit,
            "params": METHODS[method.credit].defaults | method.params,
            "training": training,
        }

    def evaluation_config(self, row: Row, benchmark: str) -> dict[str, Any]:
        """Everything in the configuration that decides one set of generations, as plain JSON."""
        return {
            "model": self.config.models[row.model].model_dump(mode="json"),
            "benchmark": self.benchmarks[benchmark].model_dump(mode="json"),
            "engine": self.evaluation.engine,
            "seed": self.evaluation.seed,
            "sampling": self.evaluation.sampling.model_dump(mode="json"),
        }


class Config:
    """All of ``config/`` but the studies, checked."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.datasets = _read_table(self.folder / "datasets.yaml", {"datasets": dict[str, Dataset]})["datasets"]
        self.models = _read_table(self.folder / "models.yaml", {"models": dict[str, Model]})["models"]
        self.benchmarks = _read_table(self.folder / "benchmarks.yaml", {"benchmarks": dict[str, Benchmark]})[
            "benchmarks"
        ]
        tables = _read_table(
            self.folder / "methods.yaml", {"bases": dict[str, Base], "methods": dict[str, Method]}, extend="methods"
        )
        self.bases, self.methods = tables["bases"], tables["methods"]
        self._check()

    def _check(self) -> None:
        for name, benchmark in self.benchmarks.items():
            _known(self.folder / "benchmarks.yaml", f"benchmarks.{name}.dataset", benchmark.dataset, self.datasets)
        for name, method in self.methods.items():
            path = self.folder / "methods.yaml"
            _known(path, f"methods.{name}.base", method.base, self.bases)
            _known(path, f"methods.{name}.credit", method.credit, METHODS)
            for key, value in method.params.items():
                defaults = METHODS[method.credit].defaults
                _known(path, f"methods.{name}.params", key, defaults)
                if isinstance(defaults[key], str) != isinstance(value, str):
                    raise UserError(
                        f"{path}: methods.{name}.params.{key}: {value!r} must be of the kind of its default {defaults[key]!r}."
                    )

    @cached_property
    def study_names(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / "studies").glob("*.yaml"))

    def study(self, name: str) -> Study:
        """The study ``config/studies/<name>.yaml``, with every name in it checked against the other files."""
        path = self.folder / "studies" / f"{name}.yaml"
        if name not in self.study_names:
            raise UserError(f"{path}: no such study; {_allowed(name, self.study_names)}.")
        file = _parse(path, StudyFile, _load_yaml(path))
        training, evaluation = file.training, file.evaluation
        _known(path, "model", file.model, self.models)
        for method in training.methods:
            _known(path, "training.methods", method, self.methods)
        _known(path, "reference", file.reference, training.methods)
        for dataset in training.datasets:
            _known(path, "training.datasets", dataset, self.datasets)
        _known(path, "training.curve.benchmark", training.curve.benchmark, self.benchmarks)
        available = self.benchmarks[training.curve.benchmark].problems
        if training.curve.problems > available:
            raise UserError(
                f"{path}: training.curve.problems = {training.curve.problems}: {training.curve.benchmark} has only {available}."
            )
        for index, use in enumerate(evaluation.benchmarks):
            _known(path, f"evaluation.benchmarks.{index}.benchmark", use.benchmark, self.benchmarks)
        names = [row.name for row in evaluation.rows] + training.methods
        for row in evaluation.rows:
            _known(path, f"evaluation.rows.{row.name}.model", row.model, self.models)
            if names.count(row.name) > 1:
                raise UserError(
                    f"{path}: evaluation.rows: the name {row.name!r} is used twice; every row needs its own."
                )
        for model in {file.model, *(row.model for row in evaluation.rows)}:
            if isinstance(self.models[model], EmbeddedModel):
                longest = evaluation.sampling.max_prompt_tokens + evaluation.sampling.max_response_tokens
                longest = max(longest, training.sampling.max_prompt_tokens + training.sampling.max_response_tokens)
                if longest > self.models[model].max_tokens:
                    raise UserError(
                        f"{path}: prompts and responses of {longest} tokens exceed models.{model}.max_tokens = {self.models[model].max_tokens}."
                    )
        if isinstance(self.models[file.model], EmbeddedModel):
            for dataset in [
                *training.datasets,
                *(self.benchmarks[use.benchmark].dataset for use in evaluation.benchmarks),
            ]:
                if not isinstance(self.datasets[dataset], GeneratedDataset):
                    raise UserError(
                        f"{path}: data set {dataset!r} is not generated; the embedded model {file.model!r} reads only generated problems."
                    )
        return Study(name, file, self)


def load_study(folder: str | Path, name: str) -> Study:
    """The study ``name`` of the configuration folder, resolved and checked."""
    return Config(folder).study(name)


# ---------------------------------------------------------------- reading

T = TypeVar("T", bound=BaseModel)


def _load_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}.") from error


def _read_table(path: Path, fields: dict[str, Any], extend: str | None = None) -> dict[str, Any]:
    """The named tables of a file; entries of the table ``extend`` may build on each other by ``extends``."""
    raw = _load_yaml(path)
    if extend is not None and isinstance(raw, dict) and isinstance(raw.get(extend), dict):
        raw = {**raw, extend: {name: _extended(path, raw[extend], name, ()) for name in raw[extend]}}
    model = type("File", (Strict,), {"__annotations__": fields, "__module__": __name__})
    return dict(_parse(path, model, raw))


def _extended(path: Path, entries: dict[str, Any], name: str, seen: tuple[str, ...]) -> Any:
    entry = entries[name]
    if not isinstance(entry, dict) or "extends" not in entry:
        return entry
    parent = entry["extends"]
    _known(path, f"methods.{name}.extends", parent, entries)
    if parent in (*seen, name):
        raise UserError(f"{path}: methods.{name}.extends: {parent!r} closes a circle.")
    inherited = _extended(path, entries, parent, (*seen, name))
    own = {key: value for key, value in entry.items() if key != "extends"}
    return {**inherited, **own, "params": {**inherited.get("params", {}), **own.get("params", {})}}


def _parse(path: Path, model: type[T], raw: Any) -> T:
    try:
        return model.model_validate(raw if raw is not None else {})
    except ValidationError as error:
        raise UserError("; ".join(_sentence(path, model, item) for item in error.errors())) from error


def _sentence(path: Path, model: type[BaseModel], item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        names = _keys_at(model, item["loc"][:-1])
        return f"{path}: {key}: unknown key; {_allowed(str(item['loc'][-1]), names)}"
    if item["type"] == "missing":
        return f"{path}: {key}: this key is missing"
    value = "" if isinstance(item["input"], dict | list) else f" = {item['input']!r}"
    return f"{path}: {key}{value}: {item['msg'].removeprefix('Value error, ')}"


def _keys_at(model: Any, location: tuple[Any, ...]) -> list[str]:
    """The keys that a mapping at ``location`` of a pydantic model may hold."""
    schema = model.model_json_schema()

    def resolve(node: dict[str, Any]) -> dict[str, Any]:
        return schema["$defs"][node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node

    node = resolve(schema)
    for part in location:
        if "discriminator" in node and part in node["discriminator"]["mapping"]:
            node = resolve({"$ref": node["discriminator"]["mapping"][part]})
            continue
        for choice in [node, *(resolve(option) for option in node.get("anyOf", []))]:
            if part in choice.get("properties", {}):
                node = resolve(choice["properties"][part])
                break
            inner = choice.get("additionalProperties") or choice.get("items")
            if isinstance(inner, dict):
                node = resolve(inner)
                break
    return list(node.get("properties", {}))


def _known(path: Path, key: str, value: str, allowed: Any) -> None:
    if value not in allowed:
        raise UserError(f"{path}: {key}: {value!r} is not known; {_allowed(value, list(allowed))}.")


def _allowed(value: str, names: list[str]) -> str:
    close = difflib.get_close_matches(value, names, n=1)
    listed = f"allowed: {', '.join(names)}" if names else "nothing is allowed here"
    return f"{listed} (did you mean {close[0]!r}?)" if close else listed
