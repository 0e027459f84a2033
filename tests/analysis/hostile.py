"""The synthetic study with texts that try to be markup wherever a text of a model, a data set or a person can stand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd

from tokencredit import files
from tokencredit.analysis.store import Store
from tokencredit.config import load_study
from tokencredit.study.paths import Paths

SCRIPT = "</script><script>window.injected = true</script>"
COMMENT = "<!--<script>"
IMAGE = "<img src=x onerror='window.injected = true'>"


def make_hostile(store: Store, folder: Path) -> Store:
    """A copy of ``store`` below ``folder``, its tables and figures included."""
    shutil.copytree(store.study.config.folder, folder / "config")
    shutil.copytree(store.results, folder / "results")
    path = folder / "config" / "studies" / "synthetic.yaml"
    path.write_text(path.read_text().replace("Synthetic study", json.dumps(f"Study {SCRIPT}")))
    hostile = Store(load_study(folder / "config", "synthetic"), folder / "results")
    for run in sorted(hostile.paths.home.joinpath("runs").glob("*/seed*")):
        _spoil_rollouts(run)
    problem = {"problem_id": "toy-train-0", "problem": f"What is {SCRIPT}?", "answer": COMMENT}
    files.write_parquet(hostile.results / "data" / "toy-train" / "problems.parquet", pd.DataFrame([problem]))
    _spoil(hostile.paths.home.joinpath("audit", "toy-tier1.json"), "grader", IMAGE)
    _spoil(hostile.paths.own.joinpath("figures", "figure4.json"), "note", SCRIPT)
    spoil_notes(hostile.paths)
    return hostile


def spoil_notes(paths: Paths) -> None:
    """Let the author of the first note, and the text of each, try to be markup."""
    lines = files.read_jsonl(paths.notes)
    for line, text in zip(lines, (IMAGE, SCRIPT, COMMENT), strict=True):
        line["text"] = text
    lines[0]["by"] = SCRIPT
    files.write_text(paths.notes, "".join(json.dumps(line) + "\n" for line in lines))


def _spoil_rollouts(run: Path) -> None:
    path = run / "rollouts.parquet"
    rollouts = files.read_parquet(path)
    rollouts["token"] = rollouts["token"].replace({" <b>": SCRIPT, "&": COMMENT, " so": IMAGE})
    files.write_parquet(path, rollouts)
    digests = files.read_json(run / "run.json")["files"]
    _spoil(run / "run.json", "files", digests | {path.name: files.sha256(path)})


def _spoil(path: Path, key: str, value: object) -> None:
    files.write_json(path, files.read_json(path) | {key: value})
