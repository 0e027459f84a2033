"""The command `tokencredit`: what it offers, that asking for help loads nothing, and what the shell completes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tokencredit.__main__ import app
from tokencredit.config import Config
from tokencredit.credit import METHODS

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "status",
    "watch",
    "note",
    "export",
    "push",
    "plan",
    "trace",
    "compare",
    "bundle",
    "rebuild",
    "regrade",
    "dry-run",
    "docs",
    "accept",
    "creditbench",
    "check-gpu",
)
# As the console script does, with what was imported at the end.
SCRIPT = (
    "import atexit, sys; atexit.register(lambda: print('loaded', *sys.modules, file=sys.stderr));"
    "sys.argv[0] = 'tokencredit'; from tokencredit.__main__ import main; main()"
)


def called(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_the_console_script_is_this_one() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"tokencredit": "tokencredit.__main__:main"}


def test_help_lists_every_command_with_a_line_and_loads_nothing_that_it_does_not_need() -> None:
    done = called("--help", COLUMNS="80")
    assert done.returncode == 0
    listed = [line.split(maxsplit=1) for line in done.stdout.partition("Commands:\n")[2].splitlines()]
    assert set(COMMANDS) <= {name for name, _ in listed}
    assert all(line.endswith(".") and not line.endswith("...") for _, line in listed)
    loaded = set(done.stderr.partition("loaded ")[2].split())
    assert {name for name in loaded if name.startswith("tokencredit")} == {
        "tokencredit", "tokencredit.__main__", "tokencredit.cli", "tokencredit.errors",
        "tokencredit.tools", "tokencredit.tools.bundle_commands",
    }  # fmt: skip
    assert not {"pydantic", "numpy", "pandas", "torch", "rich"} & loaded


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_takes(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert "--help" in done.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (["re"], ["rebuild", "regrade"]),
        (["bundle", ""], ["pack", "check", "unpack", "crate"]),
        (["plan", "--study", "paper-"], [name for name in Config("config").study_names if name.startswith("paper-")]),
        (["status", "--"], ["--study", "--help"]),
        (["note", "--s"], ["--study", "--seed", "--step"]),
    ],
)
def test_the_shell_completes_commands_options_and_studies(typed: list[str], completed: list[str]) -> None:
    asked = {"COMP_WORDS": " ".join(["tokencredit", *typed]), "COMP_CWORD": str(len(typed))}
    done = called(_TOKENCREDIT_COMPLETE="complete_bash", **asked)
    assert [line for line in done.stdout.splitlines() if line] == completed


@pytest.mark.slow
def test_what_is_generated_is_checked_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("config", "docs", "workflow/schemas"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.tar.gz", "*.png"))
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["docs", "--check"]).exit_code == 0
    readme, methods, keys, schema = (
        Path(name) for name in ("README.md", "docs/methods.md", "config/README.md", "workflow/schemas/gpus.schema.json")
    )
    readme.write_text(
        readme.read_text(encoding="utf-8").replace(f"all {len(METHODS)} methods", "all 7 methods"), encoding="utf-8"
    )
    methods.write_text("edited", encoding="utf-8")
    keys.write_text(keys.read_text(encoding="utf-8").replace("| `title` |", "| `titel` |", 1), encoding="utf-8")
    schema.unlink()
    done = CliRunner().invoke(app, ["docs", "--check"])
    assert done.exit_code == 1
    assert [line.split(": ")[0] for line in done.output.splitlines()] == list(map(str, (readme, keys, schema, methods)))
    assert methods.read_text(encoding="utf-8") == "edited"
    assert CliRunner().invoke(app, ["docs"]).exit_code == 0
    assert CliRunner().invoke(app, ["docs", "--check"]).exit_code == 0
