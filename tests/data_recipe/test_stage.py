"""The three jobs on an untrained model of 32 channels: pool, a search that is killed and goes on, a recipe that is tested."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.config.conftest import FILES, set_in
from tests.train.conftest import CoinPool
from tokencredit import files
from tokencredit.base import load_policy
from tokencredit.base.pretrain import build_model, new_tokenizer
from tokencredit.config import Study, load_study
from tokencredit.data.embedded import generate_problems
from tokencredit.data_recipe import stage, tuning
from tokencredit.errors import UserError

RECIPE = {
    "pool": {
        "kind": "embedded",
        "seed": 0,
        "tiers": [1],
        "right": 20,
        "wrong_answer": 20,
        "wrong_format": 0,
        "duplicate": 10,
        "other_task": 10,
    },
    "validation": {"benchmark": "held-out", "samples": 2, "problems": 5},
    "searches": ["random", "random-recipes"],
    "seeds": [0, 1],
    "evaluations": 5,
    "target": 4,
    "tuning": {"steps": 2, "batch": 4, "learning_rate": 0.001, "warmup_steps": 0, "weight_decay": 0.0},
    "recipes": {"known": [{"operator": "drop-source", "source": "wrong-answer"}]},
    "start": 1,
}


class Small:
    """A study with a search, its model and problems, on disk."""

    def __init__(self, folder: Path) -> None:
        import copy

        import yaml

        tree = copy.deepcopy(FILES)
        set_in(
            tree["datasets.yaml"], "datasets.validation", {**tree["datasets.yaml"]["datasets"]["toy-train"], "seed": 9}
        )
        entry = {"title": "Held out", "dataset": "validation", "samples": 4, "problems": 100}
        set_in(tree["benchmarks.yaml"], "benchmarks.held-out", entry)
        for key, value in (("max_tokens", 160), ("prompt", "{problem}\n")):
            set_in(tree["models.yaml"], f"models.small.{key}", value)
        study = tree["studies/one.yaml"]
        sampling = {"temperature": 1.0, "top_p": 1.0, "max_prompt_tokens": 64, "max_response_tokens": 64}
        study["training"]["sampling"], study["evaluation"]["sampling"] = (
            dict(sampling),
            {**sampling, "max_response_tokens": 8},
        )
        study["data_recipe"] = RECIPE
        for name, content in tree.items():
            path = folder / "config" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        self.study: Study = load_study(folder / "config", "one")
        self.folder, self.model = folder, folder / "model"
        settings = self.study.config.models["small"]
        tokenizer = new_tokenizer(settings)
        build_model(settings, tokenizer).save_pretrained(self.model)
        tokenizer.save_pretrained(self.model)
        weights = files.sha256(self.model / "model.safetensors")
        files.write_json(self.model / "model.json", {"model": "small", "path": ".", "sha256": weights})
        self.validation, test = folder / "validation.parquet", folder / "test.parquet"
        for path, split, seed in ((self.validation, "train", 9), (test, "test", 1)):
            files.write_parquet(path, generate_problems([1, 2], 100, seed, split))
        self.tests = {"easy": test}

    def pool(self) -> list[Path]:
        return stage.make_pool(self.study, self.model, self.validation, self.tests, None, self.folder / "pool")

    def search(self, out: str) -> pd.DataFrame:
        (path,) = stage.search(
            self.study, "random", 1, self.model, self.folder / "pool", self.validation, self.folder / out
        )
        return files.read_parquet(path)

    def tune(self, line: str, found: dict[str, Path]) -> pd.DataFrame:
        out = self.folder / "tuned" / line
        made = stage.tune(
            self.study, line, 1, self.model, self.folder / "pool", self.validation, self.tests, found, out
        )
        return files.read_parquet(made[1])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "GradingPool", CoinPool)
        made = Small(tmp_path_factory.mktemp("search"))
        made.pool()
        made.search("whole")
        yield made


@pytest.mark.slow
def test_the_pool_has_signals_and_leaves_out_what_is_asked(small: Small) -> None:
    table = files.read_parquet(small.folder / "pool/pool.parquet")
    assert len(table) == 60
    assert not table[["ifd", "varentropy", "relevance", "word-entropy", "same"]].isna().any().any()
    pairs = files.read_parquet(small.folder / "pool/pairs.parquet")
    equal = table.loc[pairs["later"][pairs["similarity"] == 1], "source"]
    assert set(equal) == {"duplicate"}
    asked = pd.concat([files.read_parquet(path) for path in (small.validation, small.tests["easy"])])
    assert not set(table["prompt"]) & set(asked["problem"])


def decided(history: pd.DataFrame) -> list:
    """What a search found, without what it took."""
    return history[["evaluation", "kind", "recipe", "rows_sha256", "score", "loss"]].to_dict("records") + [
        list(right) for right in history["right"]
    ]


@pytest.mark.slow
def test_a_killed_search_goes_on_where_it_stood(
    small: Small, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, trained, original = files.read_parquet(small.folder / "whole/history.parquet"), [], tuning.Workbench.tune

    def killed(self: tuning.Workbench, rows: list, seed: int) -> tuning.Tuned:
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(seed)
        return original(self, rows, seed)

    monkeypatch.setattr(tuning.Workbench, "tune", killed)
    with pytest.raises(KeyboardInterrupt):
        small.search("killed")
    assert not (small.folder / "killed/history.parquet").exists()
    monkeypatch.setattr(
        tuning.Workbench, "tune", lambda self, rows, seed: (trained.append(seed), original(self, rows, seed))[1]
    )
    again = small.search("killed")
    assert "going on after 3 evaluations" in capsys.readouterr().out
    assert len(trained) == 5
    assert decided(again) == decided(whole)
    assert not (small.folder / "killed/work").exists()


def test_a_search_keeps_what_each_evaluation_was(small: Small) -> None:
    history = files.read_parquet(small.folder / "whole/history.parquet")
    assert history["kind"].tolist() == ["probe"] * 3 + ["edit"] * 2
    assert all(len(right) == 5 for right in history["right"])
    assert (history["score"] == [sum(right) / 10 for right in history["right"]]).all()
    chosen = json.loads(history["candidates"].iloc[3])
    assert [each["chosen"] for each in chosen].count(True) == 1
    assert history["rows_sha256"].nunique() == 5


def test_the_winner_is_trained_again_to_the_model_that_was_scored(small: Small) -> None:
    history = files.read_parquet(small.folder / "whole/history.parquet")
    scores = small.tune("random", {"random": small.folder / "whole/history.parquet"})
    winner = history.loc[history["score"].idxmax()]
    validation = scores[scores["benchmark"] == "held-out"]
    assert validation["right"].tolist() == list(winner["right"])
    assert (len(validation), len(scores)) == (5, 5 + 20)
    assert set(scores[scores["benchmark"] == "easy"]["n"]) == {4}
    manifest = files.read_json(small.folder / "tuned/random/model.json")
    assert manifest["recipe"] == json.loads(winner["recipe"])
    assert manifest["folder"] == "one/data-recipe/tuned/random/seed1"
    assert manifest["sha256"] == files.sha256(small.folder / "tuned/random/model.safetensors")
    assert manifest["sha256"] != manifest["tuned_from"]
    assert load_policy(small.folder / "tuned/random") is not None


def test_the_recipes_of_the_other_lines(small: Small) -> None:
    found = {"random": small.folder / "whole/history.parquet"}
    rows = files.read_parquet(found["random"]).sort_values("score", kind="stable", ascending=False)["rows"].iloc[0]
    drawn = stage.recipe_of(small.study, "random-rows", 60, found)
    assert [(step.operator, round(step.fraction * 60)) for step in drawn] == [("random", rows)]
    assert stage.recipe_of(small.study, "full", 60, {}) == ()
    assert stage.recipe_of(small.study, "known", 60, {})[0].source == "wrong-answer"
    assert stage.recipe_of(small.study, "alone-ifd-low", 60, {})[0].keep == "low"


def test_a_search_of_another_pool_does_not_go_on(small: Small) -> None:
    pool, _ = stage.load_pool(small.folder / "pool")
    record = files.read_parquet(small.folder / "whole/history.parquet").iloc[0].to_dict()
    record |= {name: json.loads(record[name]) for name in ("recipe", "candidates", "state")}
    searching = stage.Search("random", 1, small.study.data_recipe, pool)
    assert stage.evaluation_of({**record, "parent": None}, searching).score == record["score"]
    with pytest.raises(UserError, match="keeps other rows than when it was evaluated"):
        stage.evaluation_of({**record, "rows_sha256": "0"}, searching)
