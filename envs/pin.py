"""Write the pinned requirement files and conda environments of this folder from the packages that are installed here.

``python envs/pin.py`` after trying new versions: each file names all packages of its part, dependencies included, at the version installed.
"""

from __future__ import annotations

import platform
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
GRAPH = ["snakemake", "snakemake-executor-plugin-slurm"]
DEVELOPMENT = ["pytest", "pytest-timeout", "hypothesis", "ruff", "snakefmt", "pre-commit", "statsmodels", "trl"]
CORE = ["pydantic", "pyyaml", "typer", "rich", "numpy", "pandas", "pyarrow"]
GRADER = ["math-verify[antlr4_13_2]", "latex2sympy2_extended", "sympy", "regex"]
MODELS = ["torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "tqdm"]
FAMILIES = {
    "data": ("Rules of data.smk.", [*CORE, "datasets", "huggingface_hub"]),
    "train": ("Rules of base.smk and train.smk.", [*CORE, *GRADER, *MODELS, "peft"]),
    "evaluate": ("Rules of evaluate.smk.", [*CORE, *GRADER, *MODELS]),
    "analysis": ("Rules of analyse.smk and report.smk.", [*CORE, "scipy", "matplotlib", "seaborn", "jinja2"]),
}
TORCH_FIRST = """\
# What runs the studies: every package at the version that was tested. Written by envs/pin.py.
# torch: where pip would take the CUDA build and the small CPU one is wanted, see "Set-up" in README.md.
"""


def pins(names: list[str]) -> dict[str, str]:
    """Version by name of ``names`` and all that they depend on, torch first; local version labels (``+cpu``) are left off."""
    found: dict[str, str] = {}
    pending, seen = [Requirement(name) for name in names], set()
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        distribution = metadata.distribution(name)
        found[name] = distribution.version.split("+")[0]
        pending += [needed for needed in map(Requirement, distribution.requires or []) if _applies(needed, requirement)]
    return dict(sorted(found.items(), key=lambda pin: (pin[0] != "torch", pin[0])))


def _applies(needed: Requirement, by: Requirement) -> bool:
    return needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *by.extras))


def _lines(chosen: dict[str, str], indent: str = "") -> str:
    return "".join(f"{indent}{name}=={version}\n" for name, version in chosen.items())


def main() -> None:
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runtime = pins([*project["dependencies"], *GRAPH])
    development = {name: version for name, version in pins(DEVELOPMENT).items() if name not in runtime}
    (HERE / "requirements.txt").write_text(TORCH_FIRST + _lines(runtime), encoding="utf-8")
    head = "# Beside requirements.txt: tests, formatters and linters. Written by envs/pin.py.\n-r requirements.txt\n"
    (HERE / "requirements-dev.txt").write_text(head + _lines(development), encoding="utf-8")
    python = ".".join(platform.python_version_tuple()[:2])
    for family, (title, names) in FAMILIES.items():
        text = f"# {title} Written by envs/pin.py.\nchannels:\n  - conda-forge\n  - nodefaults\ndependencies:\n"
        text += f"  - python={python}\n  - pip\n  - pip:\n" + _lines(pins(names), "      - ")
        (HERE / f"{family}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
