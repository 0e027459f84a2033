"""The records that are shipped: they are what the code makes, and the command reads them without torch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tokencredit.config import Config
from tokencredit.creditbench import learning
from tokencredit.creditbench.board import METHOD, line
from tokencredit.creditbench.checklist import ITEMS
from tokencredit.creditbench.records import BOARD, CHECKLIST, LEARNING, Shipped
from tokencredit.tools.bench_records import credits_of

ROOT = Path(__file__).parents[2]
CONFIG = Config(ROOT / "config")
WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Absent())
from tokencredit.__main__ import main
main()
"""

pytestmark = pytest.mark.slow  # reads and compares the shipped records


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    return Shipped.of(CONFIG)


@pytest.fixture(scope="module")
def board(shipped: Shipped) -> pd.DataFrame:
    return shipped.table(BOARD)


def test_the_records_are_small(shipped: Shipped) -> None:
    assert sum(path.stat().st_size for path in shipped.folder.iterdir()) < 20e6


def test_credits_are_those_of_the_functions(shipped: Shipped) -> None:
    """Else: python -m tokencredit.tools.bench credits, and leaderboard."""
    for name, policy in shipped.policies.items():
        found, left_out = credits_of(CONFIG, policy)
        assert left_out == shipped.left_out[name]
        assert found.keys() == shipped.credits[name].keys()
        for method, advantage in found.items():
            assert np.allclose(advantage, shipped.credits[name][method], atol=1e-5), method


def test_the_board_is_what_the_credits_give(shipped: Shipped, board: pd.DataFrame) -> None:
    name, policy = next(iter(shipped.policies.items()))
    for method in ("eapo", "dapo", "vine"):
        found = line(policy, METHOD, method, "", shipped.credits[name][method]).set_index("metric")
        stored = board[(board["policy"] == name) & (board["method"] == method)].set_index("metric")
        numbers = ["value", "null", "less", "less_low", "less_high", "n"]
        assert np.allclose(found[numbers], stored.loc[found.index, numbers], atol=1e-4, equal_nan=True), method


def test_the_board_and_the_scoreboard_of_the_study_agree(board: pd.DataFrame) -> None:
    """Credits assigned here against those that training itself recorded, on the same tokens; the continuations were split anew."""
    study = pd.read_csv(ROOT / "docs/results/toy-core/tables/scoreboard.csv")
    study = study[(study["part"] == "method") & (study["metric"] == "auc")].set_index("method")["value"]
    own = board[(board["policy"] == "word-problems") & (board["metric"] == "auc")].set_index("method")["value"]
    for method in ("dapo", "eapo", "hapo", "phr", "plr", "nhr", "nlr", "forking", "entroadv"):
        assert own[method] == pytest.approx(study[method], abs=0.02), method


def test_what_training_told_is_what_the_study_says(shipped: Shipped) -> None:
    study = pd.read_csv(ROOT / "docs/results/toy-core/tables/scoreboard.csv").set_index(["part", "method", "metric"])
    own = shipped.table(LEARNING).set_index(["study", "method", "role", "metric"]).sort_index()
    for metric in ("score", "speed", "area"):
        less = own.loc[("toy-core", "eapo", learning.CONTROL, metric), ["value", "low", "high"]].to_numpy(float).ravel()
        said = study.loc[("control", "eapo-shuffled", metric), ["value", "low", "high"]].to_numpy(float)
        assert less == pytest.approx(said, abs=1e-3)
    assert "rlsd" not in own.index.get_level_values("method")


def test_every_method_has_the_whole_checklist(shipped: Shipped, board: pd.DataFrame) -> None:
    table = shipped.table(CHECKLIST).set_index(["method", "item"])["says"]
    methods = set(board.loc[board["part"] == METHOD, "method"])
    assert table.index.tolist() == [(method, item) for method in table.index.unique("method") for item in ITEMS]
    assert set(table.index.unique("method")) == methods
    assert (table["eapo"] != "").all()
    assert (table["vine"] != "").all()
    assert re.fullmatch(r"continuations of the policy at every state: [\d,]+ tokens a run", table["vine", "overhead"])
    assert table["vine-steps"].ne("").sum() == 3  # no study trained it
    assert table["vine-steps", "overhead"] == "continuations of the policy at every state"


def test_the_four_lines_of_the_page_are_compared_without_torch(tmp_path: Path) -> None:
    page = (ROOT / "docs/creditbench.md").read_text(encoding="utf-8")
    file = tmp_path / "surprise.py"
    file.write_text(re.search(r'```python title="surprise.py"\n(.*?)```', page, re.DOTALL)[1])
    assert len([text for text in file.read_text().splitlines() if text]) <= 4
    command = [sys.executable, "-c", WITHOUT_TORCH, "creditbench", str(file), "--out", str(tmp_path / "made")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = re.search(r"surprise: (place \d+ of \d+)\. It was not trained", done.stdout)
    assert said
    assert f"These four lines stand at {said[1]}," in page
    table = pd.read_csv(tmp_path / "made" / BOARD)
    own = table[table["method"] == "surprise"]
    assert set(own["policy"]) == set(CONFIG.bench.policies)
    assert (tmp_path / "made/leaderboard.png").stat().st_size > 10_000
