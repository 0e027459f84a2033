"""A step's passes, loss and update on a device that is not the CPU: the same numbers, no tensor left behind, and no wait that is not known.

Five mistakes that the CPU alone would not show are planted one after the other, and each is found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
# What an update of one pass waits for: the range of the targets, the loss on the CPU, the norm of the gradient, and the tokens that have a
# gradient.
ONE_PASS = {"head.token_stats": 2, "update.update": 3, "head.backward": 3}
WAITS = {
    "eapo": ONE_PASS,
    "eapo-untied": ONE_PASS,
    "forking": {**ONE_PASS, "head.backward": 4},  # tokens without a gradient are left out
    "grpo-lora": ONE_PASS,
    # Four passes more, which find what could be drawn: sets of different sizes.
    "grpo-nucleus": {
        **{"head.token_stats": 10, "update.update": 4},
        **{"support.nuclei": 4, "support.restricted_logprob": 5, "support.<listcomp>": 10, "support.supports": 12},
    },
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("device") / "found.json"
    paths = {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "workflow")])}
    command = [sys.executable, "-m", "tests.train.on_second_device", str(out)]
    subprocess.run(command, check=True, env={**os.environ, **paths})
    return json.loads(out.read_text(encoding="utf-8"))


def same(case: dict[str, Any]) -> bool:
    return max(case[name] for name in ("metrics", "gradient", "weights", "scores")) < 1e-12


@pytest.mark.parametrize("name", WAITS)
def test_an_update_is_that_of_the_cpu_and_waits_as_often_as_is_known(name: str, found: dict[str, Any]) -> None:
    case = found["cases"][name]
    assert same(case), case
    assert case["waits"] == WAITS[name]


@pytest.mark.parametrize(
    "mistake", ["a number for each token on the CPU", "places in a pass on the CPU", "log-probs that stay for the loss"]
)
def test_a_tensor_on_the_wrong_device_is_found(mistake: str, found: dict[str, Any]) -> None:
    assert "some of its tensors are on far, and some on the CPU" in found["plants"][mistake]["error"]


def test_states_in_another_precision_are_found(found: dict[str, Any]) -> None:
    case = found["plants"]["states in another precision"]
    assert not same(case)
    assert case["gradient"] < 1e-5


def test_a_look_at_a_value_is_found(found: dict[str, Any]) -> None:
    case = found["plants"]["a value to look at"]
    assert same(case)
    assert case["waits"] == {**ONE_PASS, "scoring.forward": 1}
