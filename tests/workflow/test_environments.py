"""The pinned environments: they parse, they agree, and they can be installed together."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from tests.workflow.project import ROOT

ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))


def pins_of(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", text, flags=re.MULTILINE))


@pytest.fixture(scope="module")
def runtime() -> dict[str, str]:
    return pins_of((ROOT / "envs/requirements.txt").read_text(encoding="utf-8"))


def test_every_requirement_is_pinned() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / "envs" / name).read_text(encoding="utf-8").splitlines()
        loose = [line for line in lines if not re.fullmatch(r"#.*|-r requirements\.txt|[a-z0-9-]+==\S+", line)]
        assert loose == [], name


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_pins_python_and_agrees_with_the_requirements(path, runtime: dict[str, str]) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(content) == ["channels", "dependencies"]
    assert "python=3.11" in content["dependencies"]
    (pip,) = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    pins = pins_of("\n".join(pip))
    assert len(pins) == len(pip)
    assert pins.items() <= runtime.items()


def test_every_rule_has_one_of_the_environments() -> None:
    named = {
        name
        for rules in (ROOT / "workflow/rules").glob("*.smk")
        for name in re.findall(r'"\.\./\.\./envs/(\w+\.yaml)"', rules.read_text(encoding="utf-8"))
    }
    assert named == {path.name for path in ENVIRONMENTS}


def test_the_packages_installed_here_are_the_pinned_ones(runtime: dict[str, str]) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    ).stdout
    installed = pins_of(re.sub(r"^([^=]+)", lambda name: re.sub(r"[-_.]+", "-", name[0]).lower(), listed, flags=re.M))
    differing = {name: (version, installed.get(name)) for name, version in runtime.items()}
    differing = {name: pair for name, pair in differing.items() if pair[0] != (pair[1] or "").split("+")[0]}
    assert differing == {}


def test_the_pinned_versions_go_together() -> None:
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
