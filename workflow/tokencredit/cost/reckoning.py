"""The jobs of a study that work on a model, one by one: training runs and sets of generations."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tokencredit.config import Architecture, Gpu, JobResources, Sampling, Study
from tokencredit.cost import disk, work
from tokencredit.cost.memory import (
    GIB,
    Memory,
    SamplerSetup,
    TrainingSetup,
    generation_memory,
    training_memory,
)
from tokencredit.cost.quantity import Quantity, given, smallest, total
from tokencredit.cost.remedies import Shortfall, generation_shortfalls, training_shortfalls
from tokencredit.cost.terms import Terms
from tokencredit.cost.work import Lengths, Operations
from tokencredit.credit.columns import columns_of
from tokencredit.errors import UserError

# What vLLM takes for its cache where it runs on a CPU (`engines/vllm_engine.py`).
VLLM_CPU_CACHE = 2**30
# Forward passes of the policy over a step's responses, beside the one that every step makes.
_EXTRA_PASSES = {
    "privileged_logprob": 1,
    "privileged_entropy": 1,
    "contrast_logprob": 1,
    "residual_norm": 2,
    "attention_entropy": 1,
    "hidden": 1,
    "uniqueness": 1,
}


@dataclass(frozen=True)
class Reckoned:
    """What a job takes, or each of ``count`` equal ones: the runs of a method under every seed, or the rows of one model on one benchmark.

    ``memory`` is that of one GPU, or of one process on the CPU, and ``room_bytes`` what it has; ``shortfalls``: what does not fit.
    ``seconds`` of one job, by what they are spent on, is None where nothing tells: on the CPU without an earlier run. ``scratch_bytes``: on
    disk while it runs; ``kept_bytes``: what it leaves. ``operations``: floating-point operations of its passes.
    """

    rule: str
    name: str
    model: str
    count: int
    gpus: int
    memory: Memory
    room_bytes: Quantity
    shortfalls: tuple[Shortfall, ...]
    scratch_bytes: Quantity
    kept_bytes: Quantity
    operations: Quantity
    seconds: dict[str, Quantity] | None
    minutes_allowed: int

    @property
    def time(self) -> Quantity | None:
        """Seconds of one job."""
        return total(list(self.seconds.values())) if self.seconds else None

    @property
    def gpu_hours(self) -> Quantity | None:
        """Of one job."""
        return self.time * self.gpus / 3600 if self.time else None

    @property
    def limit(self) -> Quantity:
        """Seconds that the scheduler gives it."""
        return given(60 * self.minutes_allowed)


class Planner:
    """The jobs of one study."""

    def __init__(self, study: Study, terms: Terms, architectures: dict[str, Architecture]) -> None:
        self.study, self.terms, self.architectures = study, terms, architectures
        self.policy = architectures[study.model_name]
        self.mixed = study.training.mixed_precision == "bf16"
        self.width = 2 if self.mixed else 4

    def training(self, method: str) -> Reckoned:
        """All seeds of one method."""
        study, terms, resources = self.study, self.terms, self.study.resources.train
        training, recipe = study.training, study.recipe_of(method)
        setup, vllm = self._setup(method, resources.all_processes)
        memory, room, gpu = training_memory(setup), self._room(resources, resources.on_a_node), self._gpu(resources)
        lengths = self._lengths(training.sampling)
        updated, scored = self._operations(method, lengths)
        groups = given(training.prompts_per_step) * (terms.groups_sampled if recipe.dynamic_sampling else 1)
        sampled = work.forward(self.policy, lengths) * (groups * training.group_size)
        return Reckoned(
            rule="train",
            name=method,
            model=study.model_name,
            count=len(training.seeds),
            gpus=resources.all_gpus,
            memory=memory,
            room_bytes=room,
            shortfalls=training_shortfalls(setup, memory, room, gpu.memory_gib * GIB if gpu else 0, vllm),
            scratch_bytes=disk.checkpoint_bytes(self.policy, recipe.lora_rank) * disk.CHECKPOINTS,
            kept_bytes=disk.run_bytes(study, self.policy, lengths.response),
            operations=(sampled + scored + updated).total * training.steps,
            seconds=self._training_seconds(method, setup, lengths, groups, (scored, updated)),
            minutes_allowed=resources.runtime,
        )

    def generations(self) -> list[Reckoned]:
        """One entry for each model and benchmark: rows of the same model cost the same."""
        rows: dict[str, int] = {}
        for row in self.study.rows:
            rows[row.model] = rows.get(row.model, 0) + 1
        return [self._generation(model, name, count) for model, count in rows.items() for name in self.study.benchmarks]

    def measurements(self) -> list[Reckoned]:
        """One entry for each policy that the oracle measures: all seeds of it. Responses that methods do not share are not reckoned."""
        study, terms, resources = self.study, self.terms, self.study.resources.generate
        if study.oracle is None:
            return []
        training, gpu = study.training, self._gpu(resources)
        stored = min(training.rollouts.prompts, training.prompts_per_step) * training.group_size
        whole = self._lengths(training.sampling)
        left = whole.response * 0.5  # of a response, at a state of it
        states, tried = whole.response * stored, terms.tokens_tried(study.oracle.most_tokens)
        continued = states * (tried * study.oracle.fewest + study.oracle.continuations)
        lengths = Lengths(whole.prompt + left, left, whole.limit)
        setup = self._sampler(self.policy, continued, study.oracle.fewest, training.sampling, self.width)
        share = given(training.engine_memory * gpu.memory_gib * GIB) if gpu else self._pool_on_cpu(setup)
        vllm = replace(setup, pool=share)
        setup = vllm if training.engine == "vllm" else setup
        memory, room = generation_memory(setup, terms.generator_bytes, on_gpu=gpu is not None), self._room(resources, 1)
        seconds = self._sampling_seconds(setup, gpu, continued, lengths)
        equal = Reckoned(
            rule="oracle",
            name="",
            model=study.model_name,
            count=len(training.seeds),
            gpus=resources.gpu,
            memory=memory,
            room_bytes=room,
            shortfalls=generation_shortfalls(setup, memory, room, vllm, on_gpu=gpu is not None),
            scratch_bytes=given(0),
            kept_bytes=disk.branch_bytes(states * tried),
            operations=(work.forward(self.policy, Lengths(given(0), left, whole.limit)) * continued).total,
            seconds={"sampling": seconds} if seconds else None,
            minutes_allowed=resources.runtime,
        )
        return [replace(equal, name=name) for name in study.oracle.policies]

    def _generation(self, model: str, benchmark: str, count: int) -> Reckoned:
        study, terms, resources = self.study, self.terms, self.study.resources.generate
        architecture, use = self.architectures[model], study.benchmarks[benchmark]
        sampling, responses = study.evaluation.sampling, use.problems * use.samples
        lengths = self._lengths(sampling)
        gpu, room = self._gpu(resources), self._room(resources, 1)
        setup = self._sampler(architecture, given(responses), use.samples, sampling, self.width)
        vllm = replace(setup, pool=room if gpu else self._pool_on_cpu(setup))  # it has the GPU for itself
        if study.evaluation.engine == "vllm":
            setup = vllm
        memory = generation_memory(setup, terms.generator_bytes, on_gpu=gpu is not None)
        seconds = terms.measured.generation_seconds.get(benchmark)
        if terms.sampling_was_said or seconds is None:
            seconds = self._sampling_seconds(setup, gpu, given(responses), lengths)
        return Reckoned(
            rule="generate",
            name=benchmark,
            model=model,
            count=count,
            gpus=resources.gpu,
            memory=memory,
            room_bytes=room,
            shortfalls=generation_shortfalls(setup, memory, room, vllm, on_gpu=gpu is not None),
            scratch_bytes=given(0),
            kept_bytes=disk.generation_bytes(responses, lengths.response),
            operations=(work.forward(architecture, lengths) * responses).total,
            seconds={"sampling": seconds} if seconds else None,
            minutes_allowed=resources.runtime,
        )

    def _setup(self, method: str, processes: int) -> tuple[TrainingSetup, SamplerSetup]:
        """The method's setup, and how it would sample with vLLM, whether it does or not."""
        study, training, gpu = self.study, self.study.training, self._gpu(self.study.resources.train)
        columns, teacher = self._columns(method), study.method(method).teacher
        # The learning curve may sample more responses at a time than a step does.
        most = max(training.prompts_per_step * training.group_size, training.curve.problems * training.curve.samples)
        each = given(-(-most // processes))
        # Both sample in the precision of the passes: the transformers engine from the weights, cast while it does, vLLM from a copy.
        ours = self._sampler(self.policy, each, training.group_size, training.sampling, self.width)
        vllm, ours = ours, replace(ours, cast=self.width < 4)
        vllm = replace(
            vllm, pool=given(training.engine_memory * gpu.memory_gib * GIB) if gpu else self._pool_on_cpu(vllm)
        )
        longest = training.sampling.longest
        sequences = -(-training.prompts_per_update * training.group_size // processes)
        reference = [self.policy] if "ref_logprob" in columns else []
        setup = TrainingSetup(
            model=self.policy,
            sampler=vllm if training.engine == "vllm" else ours,
            processes=processes,
            on_gpu=gpu is not None,
            width=self.width,
            tokens=max(longest, min(training.micro_batch_tokens, sequences * longest)),
            longest=longest,
            lora_rank=study.recipe_of(method).lora_rank,
            frozen=(*reference, *([self.architectures[teacher]] if teacher else [])),
            attention_maps="attention_entropy" in columns,
            shared_prompts=training.attention == "sdpa",
            checkpointing=training.gradient_checkpointing,
            process=self.terms.trainer_bytes,
        )
        return setup, vllm

    def _pool_on_cpu(self, setup: SamplerSetup) -> Quantity:
        return given(VLLM_CPU_CACHE + setup.width * setup.model.parameters)

    def _sampler(
        self, model: Architecture, responses: Quantity, samples: int, sampling: Sampling, width: int
    ) -> SamplerSetup:
        rows = smallest([self.terms.sampler_rows, responses])
        return SamplerSetup(
            model=model,
            rows=rows,
            prompts=math.ceil(rows.value / samples),
            prompt=sampling.max_prompt_tokens,
            response=sampling.max_response_tokens,
            width=width,
            nucleus=sampling.top_p < 1,
        )

    def _operations(self, method: str, lengths: Lengths) -> tuple[Operations, Operations]:
        """Of one step: the updates, and the passes that score the responses before and between them."""
        training, columns, teacher = self.study.training, self._columns(method), self.study.method(method).teacher
        responses = training.prompts_per_step * training.group_size
        adapter = bool(self.study.recipe_of(method).lora_rank)
        updates = work.update(self.policy, lengths, training.gradient_checkpointing, adapter) * responses
        passes = 1 + ("ref_logprob" in columns) + sum(_EXTRA_PASSES.get(column, 0) for column in columns)
        if "logprob" in columns:  # seen by the current policy before every update but the first
            passes += 1 - 1 / training.updates_per_step
        scored = work.forward(self.policy, lengths) * (passes * responses)
        if teacher:
            scored = scored + work.forward(self.architectures[teacher], lengths) * responses
        return updates, scored

    def _training_seconds(
        self,
        method: str,
        setup: TrainingSetup,
        lengths: Lengths,
        groups: Quantity,
        learned: tuple[Operations, Operations],
    ) -> dict[str, Quantity] | None:
        """From the measured or given speed of a step; else from operations and bandwidth, where there is a GPU."""
        training, terms, gpu = self.study.training, self.terms, self._gpu(self.study.resources.train)
        watched = given(training.curve.problems * training.curve.samples)
        speed = terms.tokens_per_second(method)
        evaluation = None if terms.sampling_was_said else terms.measured.evaluation_seconds
        if evaluation is None:
            evaluation = self._sampling_seconds(setup.sampler, gpu, watched / setup.processes, lengths)
        if speed is not None:
            trained = lengths.response * (training.prompts_per_step * training.group_size)
            parts = {"steps": trained / speed}
            # Sampling alone is faster than a whole step, so this is no less than it takes.
            evaluation = evaluation or lengths.response * watched / speed
        # How many states a method that measures continues from shows in a run only.
        elif gpu is not None and self.study.method(method).measure is None:
            scoring, updating = (part.seconds(gpu, setup.processes, self.mixed, terms) for part in learned)
            responses = groups * training.group_size / setup.processes
            sampling = self._sampling_seconds(setup.sampler, gpu, responses, lengths)
            parts = {"sampling": sampling, "scoring": scoring, "updating": updating}
        else:
            return None
        times = work.evaluations(training.steps, training.curve.every)
        return {**{name: each * training.steps for name, each in parts.items()}, "learning curve": evaluation * times}

    def _sampling_seconds(
        self, setup: SamplerSetup, gpu: Gpu | None, responses: Quantity, lengths: Lengths
    ) -> Quantity | None:
        """Seconds in which one process samples ``responses``."""
        if speed := self.terms.sampling_tokens_per_second:
            return lengths.response * responses / speed
        return work.sampling_seconds(setup, gpu, responses, lengths, self.terms) if gpu else None

    def _columns(self, method: str) -> set[str]:
        credit, control = self.study.method(method).credit, self.study.method(method).control
        reference = {"ref_logprob"} if self.study.recipe_of(method).kl_coef else set()
        return set(columns_of(credit, control)) | reference

    def _lengths(self, sampling: Sampling) -> Lengths:
        prompt = self.terms.prompt_tokens(sampling.max_prompt_tokens)
        limit = sampling.max_response_tokens
        return Lengths(prompt, self.terms.response_tokens(limit), limit)

    def _room(self, resources: JobResources, processes: int) -> Quantity:
        """Bytes that a process may take: its GPU without the reserve, or its part of the job's memory."""
        gpu = self._gpu(resources)
        if gpu is None:
            return given(resources.mem_mb * 1e6 / processes)
        return given(gpu.memory_gib * GIB) * (given(1) - self.terms.reserve)

    def _gpu(self, resources: JobResources) -> Gpu | None:
        if not resources.gpu:
            return None
        name, config = self.study.resources.gpu_model, self.study.config
        if name is None:
            raise UserError(
                f"{config.folder / 'studies' / self.study.home}.yaml: resources.gpu_model: this key is missing, "
                f"and its jobs ask for GPUs; allowed: {', '.join(config.gpus)}."
            )
        return config.gpus[name]
