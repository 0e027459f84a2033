"""A run that is finished: the same command trains nothing, and trains again where its records no longer hold."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.train.conftest import CoinPool, Trained
from tests.train.test_loop import refuse
from tokencredit import files
from tokencredit.study.acceptance import record_of
from tokencredit.train import loop
from tokencredit.train.loop import train
from tokencredit.train.run_spec import RunSpec
from tokencredit.train.update import Updater


@pytest.fixture
def spec(trained: Callable[[str], Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    """A finished run of EAPO, to be changed."""
    monkeypatch.setattr(loop, "GradingPool", CoinPool)
    made = trained("eapo").spec
    return replace(made, out=shutil.copytree(made.out, tmp_path / "run"))


def test_a_finished_run_is_not_trained_again(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (spec.out / "run.json").read_bytes()
    monkeypatch.setattr(Updater, "step", refuse)
    assert train(spec)
    assert (spec.out / "run.json").read_bytes() == before
    with pytest.raises(AssertionError, match="trained again"):
        train(replace(spec, seed=spec.seed + 1))


def test_a_finished_run_outlives_its_run_json(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake deletes what a job declares before it starts, and after it failed, which it also says of a job whose workflow is gone."""
    manifest = spec.out / "run.json"
    before = manifest.read_bytes()
    monkeypatch.setattr(Updater, "step", refuse)
    manifest.unlink()
    assert train(spec)
    assert manifest.read_bytes() == before

    manifest.unlink()
    monkeypatch.setattr(loop, "environment", lambda device: {"device": device, "torch": "another"})
    with pytest.raises(AssertionError, match="trained again"):
        train(spec)
    assert not manifest.exists()


def test_a_finished_run_whose_change_of_code_was_accepted_is_not_trained_again(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its ``run.json`` is gone; and no further than that: another code, or a record of another file, is no acceptance."""
    manifest = spec.out / "run.json"
    made = json.loads(manifest.read_text())["code_digest"]
    said = {"by": "somebody", "at": "2026-01-01T00:00:00+0000", "reason": "A name."}
    lines = [
        {"sha256": files.sha256(manifest), "before": made, "now": "1" * 64, **said},
        {"sha256": files.sha256(manifest), "before": "1" * 64, "now": "2" * 64, **said},
        {"sha256": "0" * 64, "before": made, "now": "3" * 64, **said},
    ]
    record_of(manifest).write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(Updater, "step", refuse)
    for code, stands in {made: True, "1" * 64: True, "2" * 64: True, "3" * 64: False, "4" * 64: False}.items():
        manifest.unlink(missing_ok=True)
        monkeypatch.setattr("tokencredit.study.code.training", lambda *_, code=code: code)
        with contextlib.nullcontext() if stands else pytest.raises(AssertionError, match="trained again"):
            assert train(spec)
        assert manifest.exists() == stands


@pytest.mark.parametrize("name", ["metrics.jsonl", "rollouts.parquet", "model/config.json"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_a_finished_run_whose_files_were_changed_is_trained_again(
    spec: RunSpec, name: str, damage: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(spec.out / name)
    monkeypatch.setattr(Updater, "step", refuse)
    with pytest.raises(AssertionError, match="trained again"):
        train(spec)
