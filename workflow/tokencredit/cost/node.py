"""What ``tokencredit check-gpu`` measured on a node, in place of the speeds that an estimate assumes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tokencredit.config import Architecture, Gpu, Study
from tokencredit.cost.architectures import architecture_of
from tokencredit.cost.quantity import given, measured
from tokencredit.cost.terms import Options, Terms
from tokencredit.cost.timings import NodeSpeed
from tokencredit.cost.work import Lengths, bytes_read, forward, update
from tokencredit.errors import UserError
from tokencredit.files import read_json
from tokencredit.study.paths import RESULTS

_SAME_MEMORY = 0.02  # by how much, as a share, the memory of GPUs of one kind may differ
_WIDTH = 2  # bytes of a number in bfloat16


def read_node(path: Path, study: Study, results: str | Path = RESULTS) -> NodeSpeed:
    """The speeds at the measured shape that is nearest to the study's model; None where a benchmark was left out.

    ``UserError`` where the file is no such record, tells nothing about the GPUs that the study asks for, or of a check that failed.
    """
    gpu, record = _gpu(path, study), read_json(path)
    weights = architecture_of(study, study.model_name, results).parameters
    try:
        _check_record(path, record, gpu)
        step, plain, vllm = (
            _nearest(record["speeds"], *kind, weights)
            for kind in (("step", "ours"), ("sampling", "transformers"), ("sampling", "vllm"))
        )
        shares = {"its peak": step and _utilisation(step, gpu), "its bandwidth": vllm and _bandwidth(vllm, gpu)}
        launch = plain and plain["seconds"]["sample"] / (plain["response_tokens"] * plain["architecture"]["layers"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: is not what `tokencredit check-gpu` writes ({type(error).__name__}: {error})."
        ) from error
    for what, share in shares.items():
        if share is not None and not 0 < share <= 1:
            raise UserError(
                f"{path}: {record['machine']['gpu']} reached {share:.0%} of {what}, as {gpu.title} has it: another GPU."
            )
    utilisation, bandwidth, launched = (None if each is None else measured(each) for each in (*shares.values(), launch))
    return NodeSpeed(record["machine"]["gpu"], utilisation, bandwidth, launched)


def _gpu(path: Path, study: Study) -> Gpu:
    if study.resources.gpu_model is None or not (study.resources.train.gpu or study.resources.generate.gpu):
        raise UserError(
            f"--node {path}: the study {study.name} asks for no GPU, and the speed of one tells nothing about it."
        )
    return study.config.gpus[study.resources.gpu_model]


def _check_record(path: Path, record: dict[str, Any], gpu: Gpu) -> None:
    here = record["machine"]
    if failed := [check["name"] for check in record["checks"] if check["outcome"] == "failed"]:
        raise UserError(f"{path}: {here['node']} computes wrong numbers: {', '.join(failed)}.")
    if here["device"] != "cuda":
        raise UserError(f"{path}: {here['node']} had no GPU; call `tokencredit check-gpu` on a node with {gpu.title}.")
    if abs(here["memory_gib"] - gpu.memory_gib) > _SAME_MEMORY * gpu.memory_gib:
        raise UserError(
            f"{path}: {here['gpu']} has {here['memory_gib']:.1f} GiB, and resources.gpu_model of the study, {gpu.title}, "
            f"{gpu.memory_gib:g}: another GPU."
        )


def _nearest(speeds: list[dict[str, Any]], what: str, whom: str, weights: int) -> dict[str, Any] | None:
    """Of the benchmarks of this kind that were made, that of the model whose number of weights is nearest, as a ratio."""
    made = [each for each in speeds if (each["what"], each["whom"]) == (what, whom) and "seconds" in each]

    def distance(each: dict[str, Any]) -> float:
        whole = Architecture(**each["architecture"] | {"layers": each["layers_of_model"]})
        return abs(math.log(whole.parameters / weights))

    return min(made, key=distance, default=None)


def _utilisation(step: dict[str, Any], gpu: Gpu) -> float:
    """The seconds that its operations take at the peak, of those that they took."""
    shape, lengths = Architecture(**step["architecture"]), _lengths(step)
    operations = forward(shape, lengths) + update(shape, lengths, checkpointing=False, adapter=False)
    at_peak = (operations * step["responses"]).seconds(gpu, 1, True, Terms(Options(utilisation=1.0)))
    return at_peak.value / (step["seconds"]["score"] + step["seconds"]["update"])


def _bandwidth(sampled: dict[str, Any], gpu: Gpu) -> float:
    """What decoding read in a second, of what can be read. Its responses are of one length, so each step decodes all of them."""
    shape, responses = Architecture(**sampled["architecture"]), given(sampled["responses"])
    read = bytes_read(shape, _WIDTH, responses, _lengths(sampled), given(sampled["response_tokens"]))
    return read.value / (gpu.bandwidth_gb_s * 1e9 * sampled["seconds"]["sample"])


def _lengths(made: dict[str, Any]) -> Lengths:
    return Lengths(given(made["prompt_tokens"]), given(made["response_tokens"]), math.ceil(made["response_tokens"]))
