"""Write the pinned requirement files and conda environments of this folder.

``python envs/pin.py`` after trying new versions. The requirement files name all packages of their part, dependencies included, at the
version installed here. The conda environments are for Linux machines with GPUs: the same versions, and what a package index adds to them
there (CUDA's libraries), without any of it being installed here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
GRAPH = ["snakemake", "snakemake-executor-plugin-slurm"]
DRY_RUN = ["snakemake", "numpy", "pydantic", "pyyaml", "typer", "rich"]
DEVELOPMENT = [
    *("pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "ruff", "snakefmt", "pre-commit", "statsmodels", "trl"),
    *("uv", "py-rattler", "mkdocs-material", "tensorboardX", "rocrate", "mlcroissant", "axe-core-python"),
]
PLATFORM = ["--python-platform", "x86_64-manylinux_2_28", "--python-version", "3.11"]
CORE = ["pydantic", "pyyaml", "typer", "rich", "numpy", "pandas", "pyarrow"]
GRADER = ["math-verify[antlr4_13_2]", "latex2sympy2_extended", "sympy", "mpmath", "regex"]
MODELS = ["torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "tqdm"]
# The rules of an environment, its packages, and the tested versions that it keeps to.
FAMILIES = {
    "data": ("Rules of data.smk.", [*CORE, "datasets", "huggingface_hub"], "requirements.txt"),
    "train": (
        "Rules of base.smk, data_recipe.smk and train.smk.",
        [*CORE, *GRADER, *MODELS, "accelerate", "peft", "gguf", "scikit-learn"],
        "requirements.txt",
    ),
    "evaluate": ("Rules of evaluate.smk.", [*CORE, *GRADER, *MODELS], "requirements.txt"),
    "analysis": (
        "Rules of analyse.smk and report.smk.",
        [*CORE, "scipy", "matplotlib", "pillow", "seaborn", "jinja2"],
        "requirements.txt",
    ),
    "vllm": (
        "Rules of train.smk, data_recipe.smk and generate of a study whose engine is vllm.",
        [*CORE, *GRADER, *MODELS, "accelerate", "peft", "scikit-learn", "vllm==0.32.0"],
        "requirements-vllm.txt",
    ),
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


def resolved(packages: list[str], tested: str) -> dict[str, str]:
    """Version by name of ``packages`` and all that they depend on, for a Linux machine with GPUs.

    The versions of ``tested`` are kept wherever they can be; an error of uv ends it.
    """
    with tempfile.TemporaryDirectory() as folder:
        wanted, chosen = Path(folder, "wanted.in"), Path(folder, "chosen.txt")
        wanted.write_text("\n".join(packages), encoding="utf-8")
        # uv prefers the versions that stand in its output file already.
        preferred = (HERE / tested).read_text(encoding="utf-8")
        chosen.write_text(re.sub("^-r .*$", "", preferred, flags=re.MULTILINE), encoding="utf-8")
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", *PLATFORM]
        subprocess.run([*command, str(wanted), "--output-file", str(chosen)], check=True, stdout=subprocess.DEVNULL)
        return dict(line.split("==") for line in chosen.read_text(encoding="utf-8").splitlines())


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
    head = "# What dry runs need: Snakemake, and little beside it. Written by envs/pin.py.\n"
    (HERE / "requirements-dry-run.txt").write_text(head + _lines(pins(DRY_RUN)), encoding="utf-8")
    for family, (title, packages, tested) in FAMILIES.items():
        text = f"# {title} Written by envs/pin.py.\nchannels:\n  - conda-forge\n  - nodefaults\ndependencies:\n"
        text += "  - python=3.11\n  - pip\n  - pip:\n" + _lines(resolved(packages, tested), "      - ")
        (HERE / f"{family}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
