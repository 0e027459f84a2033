"""``tokencredit push``: the model and a card that says what its records say, in a folder or on a Hub on loopback."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, constants
from typer.testing import CliRunner, Result

from tests.base.loopback_hub import serving
from tests.workflow.project import ROOT, Project
from tokencredit import files
from tokencredit.__main__ import app
from tokencredit.study.paths import RunFolder

pytestmark = pytest.mark.workflow
RUN = RunFolder(Path("results/smoke/runs/eapo/seed0"))


def push(project: Project, *more: str) -> Result:
    where = ["--config", str(project.folder / "config"), "--results", str(project.folder / "results")]
    return CliRunner().invoke(
        app, ["push", "eapo", "--study", "smoke", "--seed", "0", "--to", "me/mine", *where, *more]
    )


def test_a_folder_holds_the_model_and_a_card_of_its_records(finished: Project, tmp_path: Path) -> None:
    done = push(finished, "--licence", "MIT", "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.exception
    model = finished.folder / RUN.model
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        *(path.name for path in model.iterdir()),
    }
    assert (tmp_path / "out/model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()

    card = ModelCard.load(tmp_path / "out/README.md")
    scores = files.read_parquet(finished.folder / "results/smoke/eval/eapo/seed0/scores.parquet")
    averages = (scores["right"] / scores["n"]).groupby(scores["benchmark"]).mean() * 100
    assert (card.data.license, card.data.library_name) == ("mit", "transformers")
    told = {each.dataset_type: each.metric_value for each in card.data.eval_results}
    assert told == averages.round(2).to_dict()
    run = files.read_json(finished.folder / RUN.record)
    for words in (
        "[arXiv 2604.11056](https://arxiv.org/abs/2604.11056) v1, Eq. 6-7",
        "3 steps under training seed 0",
        f"| {averages['toy-tier1']:.1f} [",
        "problems; generated here",
        "problems stand there",
        run["code_digest"],
        run["model_sha256"],
        run["digests"]["data toy-train"],
    ):
        assert words in card.text, words


def test_the_model_is_loaded_as_the_card_says(
    finished: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push(finished, "--licence", "MIT", "--out", str(tmp_path / "out"))
    (code,) = re.findall(
        r"```python\n(.*?)```", (tmp_path / "out/README.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    problem = files.read_parquet(finished.folder / "results/data/toy-tier1/problems.parquet")["problem"][0]
    exec(code.replace("me/mine", str(tmp_path / "out")), {"problem": problem})
    assert capsys.readouterr().out.startswith(problem)


def test_what_is_pushed_is_what_a_folder_holds(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(finished, "--licence", "MIT", "--out", str(tmp_path / "out"))
    with serving() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        done = push(finished, "--licence", "MIT")
        assert done.exit_code == 0, done.exception
    commit = hub.branches["me/mine", "main"]
    assert done.output.strip() == f"{hub.address}/me/mine/commit/{commit}"
    assert hub.private == {"me/mine": True}
    assert hub.commits["me/mine", commit] == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize(
    ("words", "spoil", "sentence"),
    [
        ([], {}, "was trained from scratch: say by --licence under which licence it is given away"),
        (["--licence", "MIT"], {"invalid": "the loss is not finite"}, "the run is invalid: the loss is not finite"),
        (["--licence", "MIT"], {"model_sha256": "other"}, "model: is not the model that"),
        (["--licence", "MIT"], {"config_digest": "other"}, "run.json: config_digest = 'other'"),
        (["--licence", "MIT"], None, "run.json: no such file; the run is not finished"),
    ],
)
def test_what_is_not_whole_sound_or_licensed_is_refused(
    done: Project, tmp_path: Path, words: list[str], spoil: dict[str, Any] | None, sentence: str
) -> None:
    record = done.folder / RUN.record
    if spoil is None:
        record.unlink()
    else:
        files.write_json(record, files.read_json(record) | spoil)
    refused = push(done, *words, "--out", str(tmp_path / "out"))
    assert sentence in str(refused.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("study", "words", "sentence"),
    [
        ("paper-1.5b", [], "licence = 'not stated': a model whose base has no known licence is not passed on"),
        ("paper-7b", ["--licence", "MIT"], "licence = 'apache-2.0': --licence MIT is another one"),
        ("paper-7b", [], "run.json: no such file; the run is not finished"),
    ],
)
def test_a_trained_model_has_the_licence_of_its_base(
    tmp_path: Path, study: str, words: list[str], sentence: str
) -> None:
    asked = ["push", "grpo", "--study", study, "--seed", "0", "--to", "me/mine", *words]
    where = ["--config", str(ROOT / "config"), "--results", str(tmp_path), "--out", str(tmp_path / "out")]
    assert sentence in str(CliRunner().invoke(app, [*asked, *where]).exception)
