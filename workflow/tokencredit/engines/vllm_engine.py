"""Sampling with vLLM: an engine with weights of its own, which are the policy's as of the last push.

vLLM is imported only here, and only once an engine is made. One request is one sample, as each has its own seed; requests with the same
prompt share its key-value blocks through vLLM's prefix cache.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import tempfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from tokencredit.engines import OnResponse
from tokencredit.engines.ending import end_tokens, finished_response
from tokencredit.engines.lengths import check_length
from tokencredit.engines.weights import imprint, plain_weights
from tokencredit.errors import UserError
from tokencredit.progress import bar
from tokencredit.records import Request, Response

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tokencredit.policy import Sequence

# Key-value blocks: on a CPU the memory they may take, and their size, which a prompt has to fill to be shared (vLLM's default is 128).
_CPU_CACHE_BYTES = 2**30
_CPU_BLOCK_TOKENS = 32
# Tokens of a pass there; a prompt is read in one.
_CPU_BATCH_TOKENS = 4096
_SHARED_MEMORY = Path("/dev/shm")


class VllmEngine:
    """Samples from a copy of ``model`` in ``dtype``; ``push_weights`` after every change of the model.

    ``longest``: tokens of a prompt and its response together. ``temperature``: the one whose log-probs are wanted. ``logprobs`` of a
    response are at the sampling temperature, before the top-p restriction, and left out where vLLM cannot say them: it knows those at
    temperature 1 before top-p, and those at any temperature after top-p. ``batch_size``: rows decoded together. ``memory_share``: of a
    GPU's memory, for weights and cache. ``separate``: in a process of its own, instead of inside this one.

    Raises ``UserError`` where vLLM is not installed.
    """

    name = "vllm"

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        longest: int,
        temperature: float = 1.0,
        dtype: torch.dtype = torch.float32,
        batch_size: int = 256,
        memory_share: float = 0.4,
        separate: bool = False,
    ) -> None:
        if find_spec("vllm") is None:
            raise UserError(
                "engine 'vllm': the package vllm is not installed here; docs/performance.md says how, or use engine 'transformers'."
            )
        what = "engine 'vllm': a prompt and its response (max_prompt_tokens + max_response_tokens)"
        check_length(model, longest, what)
        self.tokenizer, self.temperature, self.longest = tokenizer, temperature, longest
        self.end_tokens = end_tokens(model, tokenizer)
        self._dtype, self._separate = dtype, separate
        self._asleep = False
        # Whether this is one of several trainers, each with an engine of its own inside.
        self._among_others = dist.is_initialized() and dist.get_world_size() > 1
        # Of the two kinds of log-probs that vLLM has, an engine gives one.
        self._before_top_p = temperature == 1
        # The shape is all that vLLM reads from disk: the weights come by the same way as every later push.
        self._folder = tempfile.TemporaryDirectory(prefix="tokencredit-vllm-")
        # Logits in float32, as the trainer's are, also of states in low precision.
        shape = {**model.config.to_dict(), "architectures": [type(model).__name__], "head_dtype": "float32"}
        Path(self._folder.name, "config.json").write_text(json.dumps(shape, default=str), encoding="utf-8")
        with _undisturbed(separate):
            from vllm import LLM
            from vllm.platforms import current_platform

            from tokencredit.engines.vllm_worker import WeightReceiver

            self._on_cpu = current_platform.is_cpu()
            self._llm = LLM(
                model=self._folder.name,
                load_format="dummy",
                skip_tokenizer_init=True,
                generation_config="vllm",  # none of the model's own sampling settings
                dtype=str(dtype).removeprefix("torch."),
                max_model_len=longest,
                max_num_seqs=batch_size,
                logprobs_mode="raw_logprobs" if self._before_top_p else "processed_logprobs",
                enable_prefix_caching=True,
                worker_extension_cls=f"{WeightReceiver.__module__}.{WeightReceiver.__name__}",
                disable_log_stats=True,
                distributed_executor_backend="external_launcher" if self._among_others and not separate else None,
                **self._on_device(memory_share),
            )
        if separate:
            self._llm.collective_rpc("end_with", args=(os.getpid(),))
        self.push_weights(plain_weights(model))

    def sample(
        self,
        requests: list[Request],
        *,
        temperature: float,
        top_p: float,
        max_tokens: int,
        progress: bool = False,
        on_response: OnResponse | None = None,
    ) -> list[Response]:
        """One response for each request, in order; a seed gives the same sample in any company. Other samples than another engine's."""
        from vllm import SamplingParams

        self._check_awake()
        limits = [request.limit(max_tokens) for request in requests]
        longest = (len(request.prompt_tokens) + limit for request, limit in zip(requests, limits, strict=True))
        self._check_length(max(longest, default=0))
        logprobs = 0 if self._says_logprobs(temperature, top_p) else None  # 0: of the sampled token and no other
        settings = [
            SamplingParams(
                temperature=temperature,
                top_p=top_p,
                max_tokens=limit,
                seed=request.seed,
                logprobs=logprobs,
                flat_logprobs=True,
                stop_token_ids=sorted(self.end_tokens),
                ignore_eos=True,  # the end tokens are all of them named
                detokenize=False,
            )
            for request, limit in zip(requests, limits, strict=True)
        ]
        responses: dict[int, Response] = {}
        for index, output in self._generate([request.prompt_tokens for request in requests], settings, progress):
            values = output.logprobs.logprobs if logprobs is not None else ()
            responses[index] = finished_response(output.token_ids, values, self.end_tokens, self.tokenizer)
            if on_response:
                on_response(index, responses[index])
        return [responses[index] for index in range(len(requests))]

    def score(self, sequences: list[Sequence]) -> Tensor:
        """Log-probs (nats, at the engine's temperature) of the response tokens, [sum of response lengths] float32, in order.

        They take the way of a sampled token, prefix cache and sampler included, one request each: for few tokens.
        """
        from vllm import SamplingParams

        self._check_awake()
        self._check_length(max(map(len, sequences)))
        prompts, settings = [], []
        for sequence in sequences:
            for place, token in enumerate(sequence.response):
                prompts.append(sequence.prompt + sequence.response[:place])
                settings.append(
                    SamplingParams(
                        temperature=self.temperature,
                        max_tokens=1,
                        seed=0,
                        logprob_token_ids=[token],
                        ignore_eos=True,
                        detokenize=False,
                    )
                )
        logprobs = torch.empty(len(prompts))
        for index, output in self._generate(prompts, settings):
            logprobs[index] = output.logprobs[0][settings[index].logprob_token_ids[0]].logprob
        return logprobs

    def push_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Take over ``weights`` (``plain_weights`` of the policy), wake up, and forget all that was computed with the old ones.

        Raises ``UserError`` where vLLM's model does not hold the very numbers afterwards.
        """
        if self._asleep and not self._on_cpu:
            self._give_back_cache()
            self._llm.wake_up(tags=["weights"])
        pushed: dict[str, tuple[list[int], int]] = {}
        cast = _noted(((name, weight.to(self._dtype)) for name, weight in weights), pushed)
        if self._separate:
            self._push_file(cast)
        else:
            self._llm.collective_rpc("receive_weights", args=(cast,))
        self._check_taken_over(pushed)
        if self._asleep and not self._on_cpu:
            self._llm.wake_up(tags=["kv_cache"])
        self._asleep = False
        if not self._llm.reset_prefix_cache():
            raise RuntimeError("vLLM did not give up its prefix cache, which holds states of the old weights.")

    def sleep(self) -> None:
        """Leave the GPU's memory to the trainer, weights included, until the next push; on a CPU nothing is given up.

        Nothing can be sampled until then, on a CPU neither.
        """
        if not self._asleep and not self._on_cpu:
            self._llm.sleep(level=2)
        self._asleep = True

    def close(self) -> None:
        """End vLLM, and its process where it has one. To be called before the trainer's processes take leave of each other."""
        with _kept_process_group() if self._among_others else contextlib.nullcontext():
            self._llm.llm_engine.engine_core.shutdown()
        self._folder.cleanup()

    def _on_device(self, memory_share: float) -> dict[str, Any]:
        if self._on_cpu:
            return {
                "enforce_eager": True,
                # A prompt that is read in pieces takes its seed's generator back by a step, which those of a CPU cannot do.
                "enable_chunked_prefill": False,
                "max_num_batched_tokens": max(_CPU_BATCH_TOKENS, self.longest),
                "kv_cache_memory_bytes": _CPU_CACHE_BYTES,
                "block_size": _CPU_BLOCK_TOKENS,
            }
        return {"gpu_memory_utilization": memory_share, "enable_sleep_mode": True}

    def _generate(
        self, prompts: list[tuple[int, ...]], settings: list[Any], progress: bool = False
    ) -> Iterator[tuple[int, Any]]:
        """Each prompt's index and its one output, as they end."""
        from vllm.inputs import tokens_input
        from vllm.sampling_params import RequestOutputKind

        # What LLM.generate does, but that gives nothing before the last request has ended.
        engine = self._llm.llm_engine
        for index, (prompt, asked) in enumerate(zip(prompts, settings, strict=True)):
            asked.output_kind = RequestOutputKind.FINAL_ONLY
            engine.add_request(str(index), tokens_input(list(prompt)), asked)
        with bar("sampling", len(prompts), progress) as shown:
            while engine.has_unfinished_requests():
                for request in engine.step():
                    if request.finished:
                        shown.update()
                        yield int(request.request_id), request.outputs[0]

    def _says_logprobs(self, temperature: float, top_p: float) -> bool:
        return temperature == 1 if self._before_top_p else top_p == 1

    def _check_awake(self) -> None:
        if self._asleep:
            raise RuntimeError("this engine sleeps; push_weights wakes it.")

    def _check_length(self, tokens: int) -> None:
        if tokens > self.longest:
            raise UserError(
                f"engine 'vllm': a prompt and its response may take {tokens} tokens; this engine was made for {self.longest}."
            )

    def _check_taken_over(self, pushed: dict[str, tuple[list[int], int]]) -> None:
        """vLLM keeps some matrices joined or packed; those that it keeps as they are have to be the policy's. ``pushed``: ``_noted``."""
        held = self._llm.collective_rpc("imprints", args=({name: shape for name, (shape, _) in pushed.items()},))[0]
        stale = [name for name, value in held.items() if value != pushed[name][1]]
        if stale or not held:
            what = (
                f"{len(stale)} of {len(held)} weights that can be compared, {stale[0]} among them"
                if stale
                else "any weight"
            )
            raise UserError(
                f"engine 'vllm' did not take over {what}: it would sample from another policy than the trainer's."
            )

    def _give_back_cache(self) -> None:
        """What the trainer's allocator keeps for itself is lost to a process of its own."""
        if self._separate:
            torch.cuda.empty_cache()

    def _push_file(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        from safetensors.torch import save_file

        memory = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
        with tempfile.TemporaryDirectory(prefix="tokencredit-weights-", dir=memory) as folder:
            path = str(Path(folder, "weights.safetensors"))
            save_file({name: weight.cpu().contiguous() for name, weight in weights}, path)
            self._llm.collective_rpc("receive_file", args=(path,))


def _noted(
    weights: Iterable[tuple[str, Tensor]], notes: dict[str, tuple[list[int], int]]
) -> Iterator[tuple[str, Tensor]]:
    """``weights`` as they pass by; the shape and the imprint of each noted."""
    for name, weight in weights:
        notes[name] = list(weight.shape), imprint(weight)
        yield name, weight


@contextlib.contextmanager
def _undisturbed(separate: bool) -> Iterator[None]:
    """Make vLLM here without what it does to its process: it seeds the global generators, and on a CPU takes threads away for good."""
    ours = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": str(int(separate)),
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork would inherit the lock on the run's folder
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": os.environ.get("VLLM_LOGGING_LEVEL", "ERROR"),
        **({"CUDA_VISIBLE_DEVICES": _own_gpu()} if separate and torch.cuda.is_available() else {}),
    }
    before = {name: os.environ.get(name) for name in ours}
    threads, set_threads = torch.get_num_threads(), torch.set_num_threads
    python, numpy = random.getstate(), np.random.get_state()
    os.environ.update(ours)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_num_threads = set_threads
        torch.set_num_threads(threads)


def _own_gpu() -> str:
    """The GPU of this process by the name that a new process would know it by: a new process takes the first that it sees."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    index = torch.cuda.current_device()
    return visible.split(",")[index] if visible else str(index)


@contextlib.contextmanager
def _kept_process_group() -> Iterator[None]:
    """Let vLLM end without the process group that it found here: it would take leave of the other trainers in our name."""
    from vllm.distributed import parallel_state

    ends = parallel_state.destroy_distributed_environment
    parallel_state.destroy_distributed_environment = lambda: None
    try:
        yield
    finally:
        parallel_state.destroy_distributed_environment = ends
