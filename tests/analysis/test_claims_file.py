"""``config/claims.yaml`` itself: what is wrong in it is said in one sentence, and without it no claim is decided."""

from __future__ import annotations

from pathlib import Path

import pytest
import synthetic_study
from claimed import score, store_of, write_claims

from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.study.exhibits import planned


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("- grpo\n", "- grppo\n", r"claims\.yaml: claims\.x\.contrasts\.0\.against = 'grppo': not known; allowed: base, .*mean 'grpo'"),
        ("method: eapo", "method: epao", r"claims\.x\.contrasts\.0\.method = 'epao': not known; allowed: .*did you mean 'eapo'"),
        ("- grpo\n", "- eapo\n", r"claims\.x\.contrasts\.0\.against = 'eapo': is the method itself"),
        ("- grpo\n", "- start\n", r"claims\.x\.contrasts\.0\.against = 'start': not known"),
        ("metric: avg", "metrik: avg", r"claims\.x\.contrasts\.0\.metrik: unknown key; allowed: .*metric"),
        ("kind: score", "kind: scores", r"claims\.x\.contrasts\.0\.kind = 'scores': must be one of 'score', 'speed', 'entropy'"),
        ("direction: higher", "direction: up", r"claims\.x\.contrasts\.0\.direction = 'up': must be 'higher', 'lower' or 'equal'"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_file_is_one_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    store_of(tmp_path, ["grpo", "eapo"], (0,), {"x": {"contrasts": [score("eapo", "grpo")]}})
    path = tmp_path / "config" / "claims.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=sentence):
        planned(load_study(tmp_path / "config", "synthetic"))


def test_a_configuration_without_claims_decides_none(tmp_path: Path) -> None:
    study = synthetic_study.make_study(tmp_path, ["grpo"], (0,))
    assert "claims" not in planned(study)["tables"]
    write_claims(tmp_path / "config", {"x": {"contrasts": [score("grpo", "base")]}})
    assert "claims" in planned(load_study(tmp_path / "config", "synthetic"))["tables"]
