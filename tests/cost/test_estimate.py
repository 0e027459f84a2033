"""The estimate of a study: what it is made of, what it refuses and what it says would help, and what each option changes."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tokencredit.base.pretrain import build_model, new_tokenizer
from tokencredit.config import EmbeddedModel, Study
from tokencredit.cost import Basis, Options, Reckoned, Terms, estimate, read_timings, reckoning
from tokencredit.cost.architectures import architecture_of
from tokencredit.cost.quantity import given, measured
from tokencredit.engines import vllm_engine
from tokencredit.errors import UserError

from .conftest import CONFIG, ROOT, study

# Twice the GPUs of the paper's studies, on two nodes and on one.
NODES_OR_GPUS = ({"resources__train__nodes": 2}, {"resources__train__gpu": 16})


def job(of: Study, name: str, terms: Terms | None = None) -> Reckoned:
    found = estimate(of, terms or Terms())
    return next(job for job in found.jobs if job.name == name)


PLAIN = {
    "training__engine": "transformers",
    "training__gradient_checkpointing": False,
    "evaluation__engine": "transformers",
}


def plain(**changes: Any) -> Study:
    """The 7B study with the transformers engine and without gradient checkpointing."""
    return study("paper-7b", **PLAIN | changes)


def fitting(**changes: Any) -> Study:
    """The 7B study as it fits on its GPUs: what the estimate itself says would help."""
    fits = {
        "training__engine": "vllm",
        "training__engine_memory": 0.3,
        "training__gradient_checkpointing": True,
        "training__micro_batch_tokens": 16384,
        "evaluation__engine": "vllm",
    }
    return study("paper-7b", **fits | changes)


@pytest.mark.parametrize("name", [name for name, model in CONFIG.models.items() if isinstance(model, EmbeddedModel)])
def test_an_embedded_model_has_the_weights_of_its_architecture(name: str) -> None:
    settings = CONFIG.models[name]
    built = build_model(settings, new_tokenizer(settings))
    counted = sum(parameter.numel() for parameter in built.parameters())
    chosen = study("toy" if settings.task == "word-problems" else "toy-paths", model=name)
    assert architecture_of(chosen, name).parameters == counted


def test_what_is_copied_from_elsewhere_is_what_stands_there() -> None:
    assert vllm_engine._CPU_CACHE_BYTES == reckoning.VLLM_CPU_CACHE


@pytest.mark.slow
def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from tokencredit.config import load_study; from tokencredit.cost import estimate;"
        "estimate(load_study('config', 'paper-7b')); estimate(load_study('config', 'toy'));"
        "print([name for name in ('torch', 'transformers', 'pandas', 'numpy', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", CONFIG.study_names)
def test_every_study_has_an_estimate_of_all_its_jobs(name: str) -> None:
    chosen = study(name)
    found = estimate(chosen)
    runs = [job for job in found.jobs if job.rule == "train"]
    assert [job.name for job in runs] == list(chosen.methods)
    assert sum(job.count for job in runs) == sum(row.method is not None for row in chosen.rows)
    measured = [job.name for job in found.jobs if job.rule == "oracle"]
    assert measured == (chosen.oracle.policies if chosen.oracle else [])
    generated = sum(job.count for job in found.jobs if job.rule == "generate")
    assert generated == len(chosen.rows) * len(chosen.benchmarks)
    assert all(job.memory.peak.value > 0 and job.kept_bytes.value > 0 for job in found.jobs)


@pytest.mark.parametrize("name", ["toy", "smoke", "toy-methods"])
def test_embedded_studies_fit_in_the_memory_that_they_ask_for(name: str) -> None:
    found = estimate(study(name))
    assert not any(job.shortfalls for job in found.jobs)
    assert found.gpu is None
    assert found.unknown == sum(job.count for job in found.jobs)
    assert found.time.value == 0


def test_a_study_that_does_not_fit_says_by_how_much_and_what_would_help() -> None:
    found = {shortfall.phase: shortfall for shortfall in job(plain(), "dapo").shortfalls}
    assert set(found) == {"decoding", "update"}
    for shortfall in found.values():
        assert shortfall.needs.value > shortfall.room.value
        assert shortfall.remedies
    assert shortfall.room.value == pytest.approx(0.9 * 79.3 * 2**30)


@pytest.mark.slow
def test_what_would_help_helps() -> None:
    """Each remedy for the update, put into the configuration, leaves no shortfall of the update."""
    update = next(found for found in job(plain(), "dapo").shortfalls if found.phase == "update")
    for remedy in update.remedies:
        changes: dict[str, Any] = {}
        for setting in remedy.split(" with "):
            key, _, value = setting.partition(" = ")
            name = "resources__train__gpu" if key.endswith("GPUs") else key.replace(".", "__")
            changes[name] = int(key.split()[0]) if key.endswith("GPUs") else json.loads(value)
        helped = job(plain(**changes), "dapo")
        assert "update" not in {shortfall.phase for shortfall in helped.shortfalls}, remedy
    rows = next(found for found in job(plain(), "dapo").shortfalls if found.phase == "decoding")
    most = int(rows.remedies[0].split()[2])
    for count, fits in ((most, True), (most + 1, False)):
        helped = job(plain(), "dapo", Terms(Options(sampler_rows=count)))
        assert ("decoding" not in {shortfall.phase for shortfall in helped.shortfalls}) == fits


def test_the_7b_study_fits_with_what_would_help() -> None:
    found = estimate(fitting())
    assert not [(job.name, job.shortfalls) for job in found.jobs if job.shortfalls]
    assert found.gpu_hours.value > 0
    assert found.gpu_hours.basis == Basis.ASSUMED
    assert found.unknown == 0


def test_a_share_too_small_for_vllm_is_refused() -> None:
    found = job(fitting(training__engine_memory=0.1), "dapo").shortfalls
    assert [shortfall.place for shortfall in found] == ["vLLM's share"]
    share = float(found[0].remedies[0].partition(" = ")[2])
    assert not job(fitting(training__engine_memory=share), "dapo").shortfalls


def test_vllm_is_held_to_what_it_is_given_when_it_evaluates() -> None:
    """Alone on its GPU it is given what the reserve leaves; on the CPU it has a cache of a fixed size beside the model."""
    found = job(fitting(resources__gpu_model="a100-40gb"), "aime24")
    assert not found.shortfalls
    assert found.memory.peak == found.room_bytes
    tiny = job(fitting(resources__gpu_model="a100-40gb"), "aime24", Terms(Options(reserve=0.7)))
    assert [shortfall.place for shortfall in tiny.shortfalls] == ["vLLM's share"]
    plain_toy, toy = (job(study("toy", evaluation__engine=engine), "toy-tier1") for engine in ("transformers", "vllm"))
    assert toy.memory.peak.value > plain_toy.memory.peak.value + 0.8 * 2**30
    small = job(study("toy", evaluation__engine="vllm", resources__generate__mem_mb=1500), "toy-tier1")
    assert [(shortfall.phase, shortfall.place) for shortfall in small.shortfalls] == [("all phases", "process")]


def test_a_job_on_the_cpu_is_held_to_its_memory() -> None:
    found = job(study("toy", resources__train__mem_mb=700), "grpo").shortfalls
    assert [shortfall.phase for shortfall in found] == ["all phases"]
    assert found[0].room == given(700e6)
    halves = job(study("toy", resources__train__processes=2), "grpo")
    assert halves.room_bytes == given(1000e6)
    assert job(study("toy", resources__train__nodes=2), "grpo").room_bytes == given(2000e6)


def test_a_run_over_several_nodes_has_the_gpus_of_all_of_them() -> None:
    one = job(fitting(), "dapo")
    two, larger = (job(fitting(**change), "dapo") for change in NODES_OR_GPUS)
    assert two.gpus == larger.gpus == 2 * one.gpus
    assert (two.memory.peak, two.seconds) == (larger.memory.peak, larger.seconds)


def test_a_reference_costs_memory_and_a_pass() -> None:
    dapo, grpo = job(fitting(), "dapo"), job(fitting(), "grpo")
    assert grpo.memory.always.value > dapo.memory.always.value
    assert grpo.seconds["scoring"].value == pytest.approx(2 * dapo.seconds["scoring"].value)
    assert grpo.seconds["updating"] == dapo.seconds["updating"]
    # DAPO samples again for the groups that it drops, GRPO does not.
    assert dapo.seconds["sampling"].value > 1.5 * grpo.seconds["sampling"].value


def test_the_current_policys_view_costs_a_pass_before_every_update_but_the_first() -> None:
    eapo, kl_cov = job(fitting(), "eapo"), job(fitting(), "kl-cov")
    assert kl_cov.seconds["scoring"].value == pytest.approx((2 - 1 / 16) * eapo.seconds["scoring"].value)


def test_a_teacher_an_adapter_and_attention_maps_count() -> None:
    cells = {name: job(study("toy-methods"), name) for name in ("grpo", "iw-opd", "arca", "attention-entropy")}
    taught = {part.name for part in cells["iw-opd"].memory.resident}
    assert "reference and teacher, float32" in taught
    assert cells["arca"].scratch_bytes.value < cells["grpo"].scratch_bytes.value
    parts = {part.name for parts in cells["attention-entropy"].memory.phases.values() for part in parts}
    assert "weights of attention, three copies" in parts


CHANGES = {
    "response_tokens": 2000.0,
    "prompt_tokens": 500.0,
    "groups_sampled": 3.0,
    "sampler_rows": 64,
    "tokens_per_second": 5000.0,
    "sampling_tokens_per_second": 3000.0,
    "utilisation": 0.1,
    "reserve": 0.2,
}


@pytest.mark.slow
@pytest.mark.parametrize("option", [field.name for field in fields(Options)])
def test_every_option_acts(option: str) -> None:
    unsaid, changed = (
        estimate(plain(), Terms(options)) for options in (Options(), Options(**{option: CHANGES[option]}))
    )
    before, after = (next(job for job in found.jobs if job.name == "dapo") for found in (unsaid, changed))
    acts_on = {
        "reserve": lambda job: job.room_bytes.value,
        "sampler_rows": lambda job: job.memory.needs("decoding").value,
    }
    value = acts_on.get(option, lambda job: job.time.value)
    assert value(after) != value(before)
    said = [term.quantity for term in changed.terms if term.option == f"--{option.replace('_', '-')}"]
    assert said == [given(CHANGES[option])]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("utilisation", 1.5, "--utilisation = 1.5: is a share"),
        ("tokens_per_second", 0.0, "--tokens-per-second = 0: must be above 0"),
        ("groups_sampled", 0.5, "every trained group is sampled"),
    ],
)
def test_an_impossible_option_is_refused(option: str, value: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Options(**{option: value})


def test_what_is_said_makes_a_number_given() -> None:
    said = Options(
        response_tokens=1000,
        prompt_tokens=100,
        groups_sampled=1,
        tokens_per_second=5000,
        sampling_tokens_per_second=900,
    )
    found = job(plain(), "grpo", Terms(said))
    assert found.time.basis == Basis.GIVEN
    # 512 groups of 8, 1000 tokens each, 220 times; and 23 evaluations of 30 x 32 responses on 8 GPUs
    assert found.time.value == pytest.approx(220 * 512 * 8 * 1000 / 5000 + 23 * 30 * 32 * 1000 / 8 / 900)
    assert found.gpu_hours.value == pytest.approx(8 * found.time.value / 3600)


def test_a_released_model_without_its_architecture_is_named() -> None:
    chosen = study("paper-7b")
    name = chosen.model_name
    chosen.config = copy.copy(chosen.config)
    chosen.config.models = chosen.config.models | {
        name: chosen.config.models[name].model_copy(update={"architecture": None})
    }
    with pytest.raises(UserError, match=r"models\.yaml: models\.qwen2\.5-math-7b\.architecture: this key is missing"):
        estimate(chosen)


def test_jobs_on_an_unknown_gpu_are_refused() -> None:
    with pytest.raises(UserError, match=r"paper-7b\.yaml: resources\.gpu_model: this key is missing.*a800-80gb"):
        estimate(study("paper-7b", resources__gpu_model=None))


def write_run(results: Path, name: str, method: str, lines: int, seconds: float) -> None:
    """A finished run of a cell of `toy`: 32 groups of 8 responses of 20 tokens a step, from 40 groups sampled."""
    folder = results / name / "runs" / method / "seed0"
    folder.mkdir(parents=True)
    phases = ("sample", "grade", "score", "update")
    metrics = {"tokens": 5120, "response_tokens": 20.0, "groups_sampled": 40, "groups_used": 32}
    for file, record in (
        ("metrics", metrics),
        ("timing", {f"seconds_{phase}": seconds for phase in phases} | {"seconds_evaluate": 3.0}),
    ):
        text = "".join(json.dumps({"step": step, **record}) + "\n" for step in range(1, lines + 1))
        (folder / f"{file}.jsonl").write_text(text, encoding="utf-8")
    run = {"config": study(name).training_config(method), "processes": study(name).resources.train.processes}
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")


def test_earlier_runs_are_measured(tmp_path: Path) -> None:
    write_run(tmp_path, "toy", "eapo", 30, 0.5)
    generations = "toy/eval/base/seed0/toy-tier1/generations.parquet"
    for path, text in ((generations, ""), ("logs/generate/toy/base/seed0/toy-tier1.usage.jsonl", '{"s": 8.0}\n')):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    chosen = study("toy")
    assert read_timings(chosen, tmp_path).generation_seconds == {}
    assert read_timings(chosen, tmp_path, {f"{tmp_path}/{generations}"}).generation_seconds == {}
    found = read_timings(chosen, tmp_path, made_again=())
    assert found.runs == 1
    assert found.tokens_per_second == {"eapo": measured(5120 / 2)}
    assert found.response_tokens == measured(20)
    assert found.groups_sampled == measured(40 / 32)
    assert found.sampling_tokens_per_second == measured(40 * 8 * 20 / 0.5)
    assert found.evaluation_seconds == measured(3)
    assert found.generation_seconds == {"toy-tier1": measured(8)}

    terms = Terms(Options(), found)
    eapo, hapo = (job(chosen, method, terms) for method in ("eapo", "hapo"))
    assert eapo.time == hapo.time == measured(30 * 2 + 4 * 3)
    assert job(chosen, "toy-tier1", terms).time == measured(8)
    assert job(chosen, "toy-tier2", terms).time == measured(1600 * 20 / 12800)
    assert estimate(chosen, terms).unknown == 0


def test_a_run_of_another_configuration_is_not_measured(tmp_path: Path) -> None:
    """Its responses were shorter, its evaluations smaller, or it had fewer processes."""
    write_run(tmp_path, "toy", "eapo", 30, 0.5)
    for changes in (
        {"training__sampling__max_response_tokens": 99},
        {"training__curve__samples": 99},
        {"resources__train__processes": 2},
    ):
        assert read_timings(study("toy", **changes), tmp_path).runs == 0


def test_records_of_unequal_length_are_one_sentence(tmp_path: Path) -> None:
    write_run(tmp_path, "toy", "eapo", 3, 0.5)
    timing = tmp_path / "toy/runs/eapo/seed0/timing.jsonl"
    timing.write_text("".join(timing.read_text(encoding="utf-8").splitlines(keepends=True)[:2]), encoding="utf-8")
    with pytest.raises(UserError, match=r"toy/runs/eapo/seed0: metrics\.jsonl has 3 lines and timing\.jsonl 2;"):
        read_timings(study("toy"), tmp_path)


@pytest.mark.slow
def test_what_was_measured_is_read_without_the_libraries_of_tables(tmp_path: Path) -> None:
    write_run(tmp_path, "toy", "eapo", 3, 0.5)
    code = (
        "import sys; from tokencredit.config import load_study; from tokencredit.cost import read_timings;"
        f"assert read_timings(load_study('config', 'toy'), {str(tmp_path)!r}, ()).runs == 1;"
        "assert not {'pandas', 'pyarrow', 'torch'}.intersection(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_an_unfinished_run_is_not_measured(tmp_path: Path) -> None:
    write_run(tmp_path, "toy", "eapo", 30, 0.5)
    (tmp_path / "toy/runs/eapo/seed0/run.json").unlink()
    assert read_timings(study("toy"), tmp_path).runs == 0


def test_what_is_said_counts_before_what_was_measured(tmp_path: Path) -> None:
    write_run(tmp_path, "toy", "eapo", 30, 0.5)
    found = read_timings(study("toy"), tmp_path)
    said = Terms(Options(tokens_per_second=1.0, response_tokens=2.0, groups_sampled=5.0), found)
    assert said.tokens_per_second("eapo") == given(1.0)
    assert said.response_tokens(64) == given(2.0)
    assert said.response_tokens(1) == given(1)
    assert said.groups_sampled == given(5.0)
