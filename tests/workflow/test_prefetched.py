"""The paper's main study in small: stand-ins of all that it takes from the Hub are fetched, and then used with the Hub away."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import socket
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file
from transformers import AutoTokenizer, GenerationConfig

from tests.base.loopback_hub import Hub, serving
from tests.released_data import write_dataset
from tests.released_model import ROWS, write_qwen_math
from tests.workflow.project import Project
from tokencredit.study.jobs import RULES
from tokencredit.study.rules import Graph

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
STUDY = "paper-7b"
MODELS = ("qwen2.5-math-7b", "eurus-2-7b-prime")
# Problems of each data set; a benchmark of the paper's, which the curve is of too, and one beside them.
DATASETS = {"deepscaler": 12, "aime24": 30, "gsm8k-test": 4}
BENCHMARKS = ("aime24", "gsm8k-test")
METHODS = ("grpo", "eapo")


def read(project: Project, path: str) -> Any:
    return yaml.safe_load((project.folder / "config" / path).read_text(encoding="utf-8"))


def write(project: Project, path: str, content: Any) -> None:
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    (project.folder / "config" / path).write_text(text, encoding="utf-8")


def reduce_study(project: Project) -> None:
    """One step of two methods on two benchmarks, of short responses, without GPUs and vLLM. Everything else is the study's own."""
    path = f"studies/{STUDY}.yaml"
    study = read(project, path)
    training, evaluation = study["training"], study["evaluation"]
    training |= {"methods": [*METHODS], "seeds": [0], "steps": 1, "prompts_per_step": 4, "prompts_per_update": 2}
    training["curve"] |= {"samples": 2, "problems": 2}
    for part in (training, evaluation):
        part["engine"] = "transformers"
        part["sampling"]["max_response_tokens"] = 8
    evaluation["benchmarks"] = [
        use | {"samples": 4, "problems": 4} for use in evaluation["benchmarks"] if use["benchmark"] in BENCHMARKS
    ]
    del training["engine_memory"]
    study["resources"] = {kind: {"mem_mb": 2000, "runtime": 10} for kind in ("pretrain", "train", "generate", "light")}
    write(project, path, study)


def release(project: Project, hub: Hub, folder: Path) -> None:
    """Push stand-ins under the names and commits of the configuration, and count their weights and rows in it."""
    models, datasets, benchmarks = (read(project, f"{name}.yaml") for name in ("models", "datasets", "benchmarks"))
    for seed, name in enumerate(MODELS):
        model = models["models"][name]
        model["parameters"] = write_qwen_math(folder / name, seed)
        shape = json.loads((folder / name / "config.json").read_text(encoding="utf-8"))
        model["architecture"] = {
            "family": shape["model_type"],
            "hidden_size": shape["hidden_size"],
            "layers": shape["num_hidden_layers"],
            "heads": shape["num_attention_heads"],
            "kv_heads": shape["num_key_value_heads"],
            "head_size": shape["hidden_size"] // shape["num_attention_heads"],
            "intermediate_size": shape["intermediate_size"],
            "vocabulary": shape["vocab_size"],
        }
        hub.push(model["id"], folder / name, commit=model["revision"])
    for name, rows in DATASETS.items():
        source = datasets["datasets"][name]["hub"]
        source["rows"] = rows
        write_dataset(folder / name, source["id"], rows)
        hub.push(f"datasets/{source['id']}", folder / name, commit=source["revision"])
    for name in BENCHMARKS:
        benchmarks["benchmarks"][name]["problems"] = DATASETS[name]
    for name, content in (("models", models), ("datasets", datasets), ("benchmarks", benchmarks)):
        write(project, f"{name}.yaml", content)


def commands(project: Project) -> list[tuple[str, list[str]]]:
    """The commands of the study's jobs as Snakemake prints them, rule by rule in the order of a study: a module and its arguments.

    Tables and figures are made by one command each: without a name it makes all of them.
    """
    said = project.run("--dry-run", "--printshellcmds", "--config", f"study={STUDY}")
    assert said.returncode == 0, said.stdout
    found = re.findall(
        r"^(?:local)?rule (\w+):.*?python -m (\S+) (.*?) > \S+ 2>&1$", said.stdout, re.DOTALL | re.MULTILINE
    )
    made = [(rule, module, re.sub(r" --only \S+", "", arguments)) for rule, module, arguments in found]
    ordered = sorted(dict.fromkeys(made), key=lambda each: RULES.index(each[0]))
    return [(module, shlex.split(arguments)) for _, module, arguments in ordered]


def run_here(module: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -m module`` in this process, which has imported everything already."""
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert not ended.value.code, (module, arguments)


def no_network(self: socket.socket, address: Any) -> None:
    raise AssertionError(f"something asked for {address}")


def test_the_papers_study_from_prefetch_to_page(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduce_study(project)
    for name, value in {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TOKENCREDIT_DATA", raising=False)
    with serving() as hub:
        release(project, hub, tmp_path / "released")
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        project.make("prefetch", "--config", f"study={STUDY}")
    for name in MODELS:
        files = {path.name for path in (tmp_path / "released" / name).iterdir()} - {"README.md"}
        assert {file for file in files if hub.asked(f"/{file}")} == files

    left = commands(project)
    assert "tokencredit.base" not in {module for module, _ in left}
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    for module, arguments in left:
        run_here(module, arguments, monkeypatch)
    for target in Graph("config", asked=STUDY).everything(STUDY):
        assert Path(target).stat().st_size > 0, target
    page = Path(f"results/{STUDY}/index.html").read_text(encoding="utf-8")
    assert "Qwen2.5-Math-7B" in page
    for method in METHODS:
        check_run(Path(f"results/{STUDY}/runs/{method}/seed0"))


def check_run(run: Path) -> None:
    """What is particular to the released model is in what was trained from it, and in what was recorded."""
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    assert "<|im_start|>assistant" in tokenizer.chat_template
    ends = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    assert sorted(GenerationConfig.from_pretrained(run / "model").eos_token_id) == sorted(ends)
    weights = load_file(run / "model/model.safetensors")
    embedding, head = weights["model.embed_tokens.weight"], weights["lm_head.weight"]
    assert len(embedding) == len(head) == ROWS > len(tokenizer)
    assert not embedding.equal(head)
    rollouts = pd.read_parquet(run / "rollouts.parquet")
    assert {1.0, -1.0} == set(rollouts["reward"])
    without_token = rollouts[rollouts["token_id"] >= len(tokenizer)]
    assert len(without_token)
    assert (without_token["token"] == "<" + without_token["token_id"].astype(str) + ">").all()
