"""What a check of a node tells a plan: the speeds that were measured, of the GPUs that the study asks for, or a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tokencredit import files
from tokencredit.__main__ import app
from tokencredit.config import Architecture
from tokencredit.cost import Basis, Options, Terms, Timings, estimate
from tokencredit.cost.node import read_node
from tokencredit.errors import UserError

from .conftest import CONFIG, study

GPU = CONFIG.gpus["a800-80gb"]
SHAPES = {name: CONFIG.models[name].architecture for name in ("deepscaler-1.5b-8k", "qwen2.5-math-7b")}
# What the made-up node does, of the 1.5B and the 7B shape.
UTILISATION, BANDWIDTH, LAUNCH = (0.35, 0.45), (0.5, 0.7), (2e-4, 3e-4)


def sampled(shape: Architecture, seconds: float) -> dict[str, Any]:
    return {
        "architecture": shape.model_dump(),
        "layers_of_model": shape.layers,
        "responses": 256,
        "prompt_tokens": 128,
        "response_tokens": 128,
        "seconds": {"sample": seconds},
        "peak_bytes": None,
    }


def trained(shape: Architecture, utilisation: float, layers: int) -> dict[str, Any]:
    """Of ``layers`` layers: by each product's operations, written down here once more."""
    rows, prompt, response = 64, 30.0, 500.0
    sequence = prompt + response
    attention = 2 * shape.hidden_size * (shape.query_size + shape.key_size)
    matrices = attention + 3 * shape.hidden_size * shape.intermediate_size
    forward = sequence * 2 * layers * matrices + sequence * sequence / 2 * 4 * layers * shape.query_size
    head = response * 2 * shape.hidden_size * shape.vocabulary
    ideal = rows * (4 * forward / (GPU.bf16_tflops * 1e12) + 5 * head / (GPU.tf32_tflops * 1e12))
    return {
        "architecture": shape.model_dump() | {"layers": layers},
        "layers_of_model": shape.layers,
        "responses": rows,
        "prompt_tokens": prompt,
        "response_tokens": response,
        "seconds": {"score": ideal / utilisation / 4, "update": 3 * ideal / utilisation / 4, "total": ideal},
        "peak_bytes": 1,
    }


def vllm_seconds(shape: Architecture, share: float) -> float:
    """256 responses of 128 tokens: 128 times all weights, and the cache so far, in bfloat16."""
    cache = 2 * shape.layers * shape.key_size * 2
    read = 128 * 2 * shape.parameters + 256 * 128 * (128 + 64) * cache
    return read / (share * GPU.bandwidth_gb_s * 1e9)


@pytest.fixture
def record() -> dict[str, Any]:
    speeds = []
    for place, (name, shape) in enumerate(SHAPES.items()):
        speeds += [
            {"what": "step", "whom": "ours", "model": name, **trained(shape, UTILISATION[place], 9)},
            {"what": "step", "whom": "trl", "model": name, **trained(shape, 0.1, 9)},
            {
                "what": "sampling",
                "whom": "vllm",
                "model": name,
                **sampled(shape, vllm_seconds(shape, BANDWIDTH[place])),
            },
            {
                "what": "sampling",
                "whom": "transformers",
                "model": name,
                **sampled(shape, LAUNCH[place] * 128 * shape.layers),
            },
        ]
    gpu = {"device": "cuda", "node": "gpu07", "gpu": "NVIDIA A800-SXM4-80GB", "memory_gib": 79.3}
    return {"machine": gpu, "checks": [{"name": "head", "outcome": "passed"}], "speeds": speeds}


@pytest.fixture
def written(tmp_path: Path, record: dict[str, Any]) -> Path:
    files.write_json(tmp_path / "gpu07.json", record)
    return tmp_path / "gpu07.json"


@pytest.mark.parametrize(("name", "place"), [("paper-1.5b", 0), ("paper-7b", 1)])
def test_the_speeds_are_those_of_the_nearest_shape(name: str, place: int, written: Path) -> None:
    found = read_node(written, study(name))
    assert found.gpu == "NVIDIA A800-SXM4-80GB"
    shares = (found.utilisation, found.bandwidth_share, found.layer_launch)
    assert all(each and each.basis == Basis.MEASURED for each in shares)
    expected = (UTILISATION[place], BANDWIDTH[place], LAUNCH[place])
    assert [each.value for each in shares if each] == pytest.approx(expected)


def test_a_plan_rests_on_them_unless_a_person_says_otherwise(written: Path) -> None:
    wanted = study("paper-7b")
    node = read_node(written, wanted)
    terms, assumed = Terms(measured=Timings(node=node)), Terms()
    assert (terms.utilisation, terms.bandwidth_share, terms.layer_launch) == (
        node.utilisation,
        node.bandwidth_share,
        node.layer_launch,
    )
    assert Terms(Options(utilisation=0.2), Timings(node=node)).utilisation.value == 0.2
    slow, fast = (next(job for job in estimate(wanted, each).jobs if job.name == "grpo") for each in (assumed, terms))
    faster = assumed.utilisation.value / UTILISATION[1]
    assert fast.seconds["updating"].value == pytest.approx(slow.seconds["updating"].value * faster)


def test_the_command_reads_the_file(written: Path) -> None:
    done = CliRunner().invoke(app, ["plan", "--study", "paper-7b", "--node", str(written), "--json"])
    printed = json.loads(done.stdout)
    assert printed["gpu_measured"] == "NVIDIA A800-SXM4-80GB"
    terms = {term["name"]: term["quantity"] for term in printed["terms"]}
    assert terms["utilisation"] == {"value": pytest.approx(UTILISATION[1]), "basis": "measured"}
    assert terms["bandwidth"] == {"value": pytest.approx(BANDWIDTH[1]), "basis": "measured"}


def test_what_was_left_out_stays_assumed(tmp_path: Path, record: dict[str, Any]) -> None:
    for speed in record["speeds"]:
        if speed["whom"] == "vllm":
            del speed["seconds"]
            speed["left_out"] = "the package vllm is not installed here"
    files.write_json(tmp_path / "a.json", record)
    found = read_node(tmp_path / "a.json", study("paper-7b"))
    assert found.bandwidth_share is None
    assert Terms(measured=Timings(node=found)).bandwidth_share.basis == Basis.ASSUMED
    assert found.utilisation is not None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda r: r["machine"].update(device="cpu"), "gpu07 had no GPU"),
        (lambda r: r["machine"].update(memory_gib=139.8), "has 139.8 GiB, and resources.gpu_model of the study"),
        (lambda r: r["checks"][0].update(outcome="failed"), "gpu07 computes wrong numbers: head"),
        (
            lambda r: r["speeds"][4]["seconds"].update(score=1e-6, update=1e-6),
            "of its peak, as NVIDIA A800 80 GB has it",
        ),
        (lambda r: r.pop("checks"), "is not what `tokencredit check-gpu` writes"),
        (lambda r: r["speeds"][4].pop("responses"), "is not what `tokencredit check-gpu` writes"),
    ],
)
def test_a_record_that_tells_nothing_of_these_gpus_is_refused(
    change: Any, sentence: str, tmp_path: Path, record: dict[str, Any]
) -> None:
    change(record)
    files.write_json(tmp_path / "a.json", record)
    with pytest.raises(UserError) as caught:
        read_node(tmp_path / "a.json", study("paper-7b"))
    assert sentence in str(caught.value)


def test_a_study_without_gpus_has_no_use_for_it(written: Path) -> None:
    with pytest.raises(UserError, match="the study toy asks for no GPU"):
        read_node(written, study("toy"))
