"""Command lines: errors for a person are one sentence with exit status 2, defects keep their traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokencredit import cli
from tokencredit.errors import UserError


def app(error: Exception | None):
    made = cli.new_app("A stage.")

    @made.command()
    def work(out: Path) -> None:
        if error is not None:
            raise error
        cli.made([out, out / "b"])

    return made


def test_the_closing_line_names_the_files(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["stage", "results"])
    with pytest.raises(SystemExit) as left:
        cli.run(app(None))
    assert left.value.code == 0
    assert capsys.readouterr().out == "made results, results/b\n"


def test_a_user_error_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["stage", "results"])
    with pytest.raises(SystemExit) as left:
        cli.run(app(UserError("a.yaml: no such file.")))
    assert left.value.code == 2
    assert capsys.readouterr().err == "error: a.yaml: no such file.\n"


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["stage", "results"])
    with pytest.raises(ZeroDivisionError):
        cli.run(app(ZeroDivisionError()))
