"""The command that says why a verdict is what it is."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from tokencredit.grading.__main__ import app


@pytest.mark.parametrize(
    ("gold", "response", "said"),
    [
        (r"\frac{\sqrt{12}}{2}", r"\boxed{x=\sqrt3}", ["right", "number: 3^(1/2)", "name x", "no algebra system"]),
        (r"\sin 2x", r"\boxed{2\sin x\cos x}", ["right", "sin(2·x)", "SymPy was asked"]),
        (r"(-\infty,3]", r"\boxed{x<3}", ["wrong", "interval: low minus infinity, high 3, closed high", "signs (<)"]),
        (r"\log 100", r"\boxed{2}", ["ungraded: it can be read in two ways", "in doubt: a logarithm"]),
        (r"1,2,\ldots", r"\boxed{3}", ["ungraded", "text, for it has dots"]),
        ("5", "5", ["wrong: no boxed answer", "answer: none"]),
    ],
)
def test_explain_command(gold: str, response: str, said: list[str]) -> None:
    done = CliRunner().invoke(app, ["explain", gold, response])
    assert done.exit_code == 0, done.output
    assert [text for text in said if text not in done.output] == []
