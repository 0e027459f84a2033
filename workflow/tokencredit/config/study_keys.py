"""Every key of a study, ``config/studies/<name>.yaml``: its kind, its bounds and its meaning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tokencredit.config.claim_keys import BASE, Experiment
from tokencredit.config.common_keys import BenchmarkUse, distinct
from tokencredit.config.data_recipe_keys import DataRecipe
from tokencredit.config.keys import (
    Count,
    Name,
    NonNegative,
    Positive,
    Rate,
    Share,
    Strict,
    Temperature,
)
from tokencredit.config.resource_keys import Resources

EngineName = Literal["transformers", "vllm"]
# Its default is left out of what a study is written as: results from before there were two keep their digests.
RatioOver = Annotated[
    Literal["vocabulary", "nucleus"], Field(exclude_if=lambda distributions: distributions == "vocabulary")
]


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

    @property
    def longest(self) -> int:
        """The most tokens of a prompt and its response together."""
        return self.max_prompt_tokens + self.max_response_tokens


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
    # Both are left out of what a study is written as while they are as they always were.
    keep_groups_together: Annotated[bool, Field(exclude_if=lambda together: together)] = Field(
        True,
        description="Whether an update learns from all responses of its prompts; otherwise a step's responses are dealt out to as many "
        "updates at random (arXiv 2605.08666).",
    )
    balance_rewards: Annotated[float | None, Field(gt=0, le=0.5, exclude_if=lambda share: share is None)] = Field(
        None,
        description="Least share of right and of wrong responses among those that a step learns from: more prompts are sampled, ten rounds "
        "at most, and responses of the commoner verdict left out, until it holds; off without it (arXiv 2605.08666).",
    )
    sampling: Sampling = Field(description="How rollouts are drawn.")
    ratio_over: RatioOver = Field(
        "vocabulary",
        description="The distributions whose ratio the loss takes: `vocabulary`, the whole ones, or `nucleus`, both restricted to what "
        "`sampling.top_p` below 1 let the old policy draw (docs/top-p.md).",
    )
    engine: EngineName = Field("transformers", description="What samples the rollouts and the learning curves.")
    engine_memory: Share = Field(
        0.4, description="vLLM's share of a GPU's memory while it samples: memory only, never the result."
    )
    engine_separate: bool = Field(
        False, description="Whether vLLM has a process of its own instead of sharing the trainer's: never the result."
    )
    mismatch_kl: Rate = Field(
        0.01,
        description="Largest mean KL(sampler, trainer) of a step's tokens, nats. A run that exceeds it is marked invalid in every table.",
    )
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
    attention: Literal["sdpa", "flash_attention_2"] = Field(
        "sdpa",
        description="Attention of the forward and backward passes: PyTorch's own, or flash-attn's, whose passes have no padding.",
    )
    gradient_checkpointing: bool = Field(
        False,
        description="Keep the inputs of the layers only, and compute the rest again for the backward pass: memory only, never the result.",
    )
    checkpoint_every: Positive = Field(description="Steps between checkpoints, from which a killed run goes on.")
    watchdog_minutes: Rate = Field(
        240.0,
        description="A process that stays in one phase of a step (sampling, scoring, updating …) this long prints where it hangs and ends.",
    )
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
        if self.ratio_over == "nucleus" and self.sampling.top_p == 1:
            raise ValueError("ratio_over = 'nucleus' has no effect at sampling.top_p = 1: every token can be drawn")
        if self.engine == "vllm" and self.sampling.temperature != 1 and self.sampling.top_p < 1:
            raise ValueError(
                f"engine = 'vllm' has no log-probs at sampling.temperature = {self.sampling.temperature:g} before "
                f"sampling.top_p = {self.sampling.top_p:g}; one of the two must be 1"
            )
        if self.attention == "flash_attention_2" and (self.mixed_precision == "no" or self.engine == "transformers"):
            raise ValueError(
                f"attention = 'flash_attention_2' needs mixed_precision = 'bf16' and engine = 'vllm', and they are "
                f"{self.mixed_precision!r} and {self.engine!r}: it computes in 16 bits, and its rows have no padding to sample with"
            )
        for key, values in (("datasets", self.datasets), ("methods", self.methods), ("seeds", self.seeds)):
            distinct(key, values)
        return self

    @property
    def updates_per_step(self) -> int:
        return self.prompts_per_step // self.prompts_per_update


class EvaluationRow(Strict):
    """A model that is evaluated only: the base model, or a released checkpoint."""

    name: Name = Field(description="Name of the row in paths; it must differ from the study's methods.")
    model: Name = Field(description="The model, one of models.yaml.")
    title: str = Field(description="Name in tables and figures.")


class Evaluation(Strict):
    """The evaluation of every row of the results table."""

    engine: EngineName = Field(description="What generates.")
    seed: int = Field(description="Seed of all evaluation sampling; the same for every row, so that rows are paired.")
    sampling: Sampling = Field(description="How responses are drawn.")
    rows: list[EvaluationRow] = Field([], description="Models that are evaluated beside the trained ones.")
    benchmarks: Annotated[list[BenchmarkUse], Field(min_length=1)] = Field(description="The study's benchmarks.")

    @model_validator(mode="after")
    def _combinations(self) -> Evaluation:
        distinct("rows", [row.name for row in self.rows])
        distinct("benchmarks", [use.benchmark for use in self.benchmarks])
        if all(use.beside for use in self.benchmarks):
            raise ValueError("benchmarks: all of them are `beside` the others; one at least must count in the mean")
        return self


class Oracle(Strict):
    """The measurement of the credit of tokens at stored responses: every plausible next token is tried and continued."""

    policies: Annotated[list[Name], Field(min_length=1)] = Field(
        description="Policies to measure: `base`, the base model at responses of the first step; trained methods at those of their last."
    )
    seed: Count = Field(description="Seed of all continuations.")
    continuations: Annotated[int, Field(ge=2)] = Field(
        description="Continuations of a state, shared among the tokens that are tried by their probability."
    )
    fewest: Annotated[int, Field(ge=2)] = Field(4, description="Fewest continuations of a token that is tried.")
    fewest_likely: Annotated[int, Field(ge=0, exclude_if=lambda count: count == 0)] = Field(
        0,
        description="Fewest continuations of a token with at least a twentieth of the probability; 0: as of any other.",
    )
    rest: Annotated[int, Field(ge=0, exclude_if=lambda count: count == 0)] = Field(
        0,
        description="Continuations of all tokens that are not tried, as one branch: each begins with one that is drawn from them. 0: what "
        "they are worth is not measured.",
    )
    mass: Share = Field(0.999, description="The most probable tokens with this much probability are tried.")
    most_tokens: Positive = Field(64, description="Most tokens that are tried at a state, beside the one taken.")

    @model_validator(mode="after")
    def _combinations(self) -> Oracle:
        distinct("policies", self.policies)
        if self.rest == 1:
            raise ValueError("rest = 1: one continuation says nothing about noise; 0, or 2 and more")
        return self


class Analysis(Strict):
    """What tables and claims take from the records, declared before they are looked at."""

    speed_steps: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = Field(
        None,
        description="First and last step of those whose mean solve rate of all sampled groups is a method's speed; without it 2, for the "
        "model that training starts from samples step 1, and half of the steps.",
    )
    pass_k: Annotated[list[Positive], Field(min_length=1)] = Field(
        [4, 16, 64], description="The k of Pass@k in Table 1's CSV, and those that claims about Pass choose from."
    )
    pass_below: Share = Field(
        0.95,
        description="Claims about Pass take the largest k at which the model that training starts from solves less than this share: where "
        "nearly all is solved by trying, nothing can be told.",
    )

    @model_validator(mode="after")
    def _combinations(self) -> Analysis:
        distinct("pass_k", self.pass_k)
        if self.speed_steps and self.speed_steps[0] > self.speed_steps[1]:
            raise ValueError(f"speed_steps = {self.speed_steps} must be the first step and then the last")
        return self


class Start(Strict):
    """Supervised training of the study's model before any method trains it; everything in the study then starts from its result."""

    dataset: Name = Field(description="A data set with solutions, one of datasets.yaml.")
    examples: Positive = Field(
        description="The first so many of its problems that have a solution and fit into `training.sampling`."
    )
    solution: str = Field(
        "{solution}",
        description="What is learned after the prompt: a text with `{solution}` in it, and `{answer}` for the gold where the solution does "
        "not box it. The end of the turn follows.",
    )
    seed: int = Field(0, description="Seed of the order of the examples.")
    epochs: Positive = Field(1, description="How often every example is seen.")
    batch: Positive = Field(description="Examples of an update.")
    learning_rate: Rate = Field(description="Peak learning rate of AdamW; it falls to a fiftieth by half a cosine.")
    warmup_steps: Count = Field(0, description="Updates of linear warm-up.")
    weight_decay: NonNegative = Field(0.0, description="Weight decay of AdamW.")

    @model_validator(mode="after")
    def _with_solution(self) -> Start:
        if self.solution.count("{solution}") != 1 or self.solution.count("{answer}") > 1:
            raise ValueError("solution must contain {solution} once, and {answer} at most once")
        return self

    @property
    def steps(self) -> int:
        """Updates: the last of an epoch may have fewer examples."""
        return self.epochs * -(-self.examples // self.batch)


class StudyFile(Strict):
    """One study: what is trained, how it is evaluated, and what its jobs ask for."""

    title: str = Field(description="Title of the report.")
    model: Name = Field(description="The model that is trained, one of models.yaml.")
    reference: Name = Field(description="The method that the others are compared with, one of `training.methods`.")
    start: Annotated[Start | None, Field(exclude_if=lambda start: start is None)] = Field(
        None, description="Supervised training of `model` before RL; none without it."
    )
    training: Training = Field(description="The runs.")
    evaluation: Evaluation = Field(description="The evaluation of every row.")
    oracle: Oracle | None = Field(None, description="The measurement of the credit of tokens; none without it.")
    # These two are left out where there is none: what is made of other studies keeps its digests.
    attribution: Annotated[bool, Field(exclude_if=lambda attributed: not attributed)] = Field(
        False,
        description="Whether the base model scores its measured responses again, knowing the answer, and each method's credit of them is "
        "turned into gradients (results/README.md); needs `base` among `oracle.policies` and the model's `privileged_prompt`.",
    )
    data_recipe: DataRecipe | None = Field(
        None,
        description="The search for a data recipe of a supervised start; none without it.",
        exclude_if=lambda found: found is None,
    )
    analysis: Analysis = Field(Analysis(), description="What tables and claims take from the records.")
    experiments: dict[Name, Experiment] = Field(
        {},
        description="The questions that the study is run for, declared before it is; their answers are the table `experiments`.",
        exclude_if=lambda experiments: not experiments,
    )
    resources: Resources = Field(description="What jobs ask of the scheduler.")

    def measured_by(self, oracle: Oracle | None) -> StudyFile:
        """The same with another measurement, and without attribution where that does not measure the base model."""
        attribution = self.attribution and oracle is not None and BASE in oracle.policies
        return self.model_copy(update={"oracle": oracle, "attribution": attribution})
