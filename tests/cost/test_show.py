"""What is printed: every number with its basis, one sentence for what does not fit, and the same as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tokencredit import cli
from tokencredit.__main__ import app
from tokencredit.cost import Basis, estimate
from tokencredit.cost.quantity import Quantity, assumed, given, largest, measured, smallest, total
from tokencredit.cost.show import as_json, in_bytes, in_time, marked, print_estimate, sentences

from .conftest import ROOT, study

REFUSED = {
    "training__engine": "transformers",
    "training__gradient_checkpointing": False,
    "training__micro_batch_tokens": 32768,
}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["tokencredit", "plan", "--config", str(ROOT / "config"), *arguments])
    with pytest.raises(SystemExit) as left:
        cli.run(app)
    return left.value.code


def test_sums_and_products_rest_on_their_weakest_part() -> None:
    assert given(2) + measured(3) == measured(5)
    assert measured(2) * assumed(3) == assumed(6)
    assert given(2) * 3 - 1 == given(5)
    assert 4 * given(2) / 2 + 0 == given(4)
    assert total([]) == given(0)
    assert total([given(1), measured(2)]) == measured(3)
    assert largest([assumed(1), given(2)]) == assumed(2)
    assert smallest([measured(1), given(2)]) == measured(1)
    assert assumed(1.2).rounded_up() == assumed(2)


def test_numbers_are_marked_and_in_a_unit_that_suits() -> None:
    assert marked(given(1234.5)) == "1,234.5ᵍ"
    assert in_bytes(measured(3 * 2**30)) == "3.0ᵐ GiB"
    assert in_bytes(assumed(512)) == "0ᵃ KiB"
    assert in_time(given(90)) == "90.0ᵍ s"
    assert in_time(given(7200)) == "2.0ᵍ h"


@pytest.mark.parametrize("name", ["toy", "paper-7b"])
def test_every_number_of_the_tables_has_its_basis(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_estimate(estimate(study(name)))
    printed = capsys.readouterr().out
    cells = [cell.strip() for line in printed.splitlines() if line.startswith("│") for cell in line.split("│")]
    numbers = [cell for cell in cells if re.match(r"[\d.,]+", cell)]
    # Whole numbers without a mark stand under headings that have it.
    assert "timesᵍ" in printed
    assert "GPUsᵍ" in printed
    assert numbers
    assert all(re.match(r"[\d.,e+-]+[ᵍᵐᵃ]|\d+$", cell) for cell in numbers), numbers


def test_every_number_of_the_json_has_its_basis() -> None:
    found = json.loads(json.dumps(as_json(estimate(study("paper-7b")))))
    plain = {"count", "gpus", "minutes_allowed", "runs_measured", "jobs_of_unknown_time"}

    def check(value: Any, key: str) -> None:
        if isinstance(value, dict):
            if set(value) == {"value", "basis"}:
                Basis(value["basis"])
                return
            for name, inner in value.items():
                check(inner, name)
        elif isinstance(value, list):
            for inner in value:
                check(inner, key)
        else:
            assert not isinstance(value, float), key
            assert isinstance(value, bool | str | None) or key in plain, key

    check(found, "")
    assert found["totals"]["gpu_hours"] == {
        "value": estimate(study("paper-7b")).gpu_hours.value,
        "basis": "assumed",
    }


def test_what_does_not_fit_is_a_sentence_with_both_numbers_and_a_remedy() -> None:
    found = sentences(estimate(study("paper-7b", **REFUSED)))
    update = next(sentence for sentence in found if "(update)" in sentence)
    assert re.match(
        r"train grpo.* needs [\d.]+ᵍ GiB at its peak \(update\), and one NVIDIA A800 80 GB has 71\.4ᵃ GiB to give; what would help: "
        r"training\.gradient_checkpointing = true with training\.micro_batch_tokens = \d+",
        update,
    )
    assert sentences(estimate(study("toy"))) == []


def test_a_study_that_cannot_fit_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--study", "toy", "--results", "nowhere", "--sampler-rows", "100000") == 0
    assert "does not fit" not in capsys.readouterr().out
    monkeypatch.setattr(
        "tokencredit.tools.plan.load_study", lambda config, name: study("toy", resources__train__mem_mb=600)
    )
    assert run(monkeypatch, "--study", "toy", "--results", "nowhere") == 2
    printed = capsys.readouterr()
    assert "no" in printed.out
    assert re.fullmatch(
        r"error: toy cannot run as it is configured: train grpo needs [\d.]+ᵃ MiB at its peak \(all phases\), and a process of it has "
        r"572\.2ᵍ MiB to give; nothing that was tried would help\. \(1 more\)\n",
        printed.err,
    )


def test_the_json_of_the_command_is_that_of_the_estimate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--study", "smoke", "--results", "nowhere", "--json", "--tokens-per-second", "100") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["totals"]["fits"]
    assert found["jobs"][0]["seconds"]["steps"]["basis"] == "assumed"
    speed = next(term for term in found["terms"] if term["name"] == "training speed")
    assert Quantity(**speed["quantity"]) == given(100)
