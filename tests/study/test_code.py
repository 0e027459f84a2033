"""What the digest of a job's code covers: its own embedded task and not the others, though no import leads to it."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from tokencredit import provenance
from tokencredit.config import load_study
from tokencredit.credit import METHODS
from tokencredit.provenance import reached
from tokencredit.study import code

TABLES = ("table1", "oracle")


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The jobs whose digest is another one after an edit of a file; edits add up."""
    studies = [load_study("config", name) for name in ("toy", "toy-paths", "paper-7b")]
    data = ("toy-train", "toy-paths-train", "gsm8k-train")
    models = ("embedded-1m", "embedded-1m-paths")
    config = studies[0].config
    codes = {
        **{name: partial(code.dataset, config, name) for name in data},
        **{name: partial(code.pretraining, config.models[name]) for name in models},
        **{
            f"{study.name}, {name}": partial(code.exhibit, study, "table", name) for study in studies for name in TABLES
        },
        **{f"{study.name}, page": partial(code.page, study) for study in studies},
    }
    monkeypatch.setattr(code, "_digest", provenance.code_digest)
    before = {name: digest() for name, digest in codes.items()}
    copy = shutil.copytree(provenance.PACKAGE, tmp_path / "tokencredit", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", copy)

    def edit(path: str, old: str, new: str) -> set[str]:
        text = (copy / path).read_text(encoding="utf-8")
        assert old in text
        (copy / path).write_text(text.replace(old, new), encoding="utf-8")
        return {name for name, digest in codes.items() if digest() != before[name]}

    return edit


@pytest.mark.slow
def test_a_task_decides_its_own_data_and_models(changed) -> None:
    assert changed("data/tasks/graph_paths.py", "WRONG_TURN = 0.1", "WRONG_TURN = 0.2") == {
        *("toy-paths-train", "embedded-1m-paths"),
    }


@pytest.mark.slow
def test_the_kinds_of_a_tasks_tokens_decide_what_is_shown_of_them_and_nothing_that_is_trained(changed) -> None:
    shown = {f"toy-paths, {shown}" for shown in (*TABLES, "page")}
    assert changed("data/tasks/graph_paths.py", "if leaving.count(here) > 1:", "if leaving.count(here) > 2:") == shown


@pytest.mark.slow
def test_what_tasks_share_decides_those_of_all(changed) -> None:
    made = {"toy-train", "embedded-1m", "toy-paths-train", "embedded-1m-paths"}
    shown = {f"{study}, {shown}" for study in ("toy", "toy-paths") for shown in (*TABLES, "page")}
    # Its words are synonyms, which the tables merge; edits add up.
    assert changed("data/phrasing.py", '"Okay"', '"Fine then"') == made | shown
    assert changed("data/phrasing.py", "if place in (0, 1, 4):", "if place in (0, 1, 3):") == made | shown


def test_a_run_s_code_is_the_trainer_its_own_method_and_its_control() -> None:
    """No method's file is in the trainer's imports, and the controls' file counts for the cells that have one."""
    trainer = modules("train.loop.train")
    assert not trainer & {method.module for method in METHODS.values()}
    assert {"policy.adapter", "policy.attention", "train.columns", "credit.controls"} <= trainer
    digest = partial(code.training, "transformers")
    assert digest("forking") != digest("forking", "shuffled") == digest("forking", "random-mask")
    assert digest("forking") != digest("eapo")
    assert "credit.controls" not in modules("train.loop.train", without=("credit.controls",))


def test_what_makes_columns_of_few_methods_counts_for_these_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    left_out = {}
    for credit in ("eapo", "vine", "kind-mask", "ict", "rrpo"):
        with monkeypatch.context() as patch:
            patch.setattr("tokencredit.study.code._digest", lambda *roots, without: {*without})
            left_out[credit] = code.training("transformers", credit)
    few = {"train.measuring", "train.kinds", "train.states", "train.resets"}
    assert few <= left_out["eapo"]
    own = {"vine": "train.measuring", "kind-mask": "train.kinds", "ict": "train.states", "rrpo": "train.resets"}
    assert all(few - left_out[credit] == {module} for credit, module in own.items())
    assert few.isdisjoint(modules("train.loop.train", without=(*left_out["eapo"],)))
    assert not {name for name in modules("train.loop.train", without=(*left_out["eapo"],)) if name.startswith("oracle")}


def modules(*roots: str, without: tuple[str, ...] = ()) -> set[str]:
    return {node.module.removeprefix("tokencredit.") for node in reached(*roots, without=without).nodes}
