"""A base trained from scratch: it learns, it is the same each time, and its folder is whole or not there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from tokencredit.base import load_manifest, load_policy, load_tokenizer
from tokencredit.base.__main__ import app
from tokencredit.base.pretrain import build_model, make_examples, new_tokenizer, pretrain, solution_loss
from tokencredit.base.supervised import learning_rate
from tokencredit.config import Config, EmbeddedModel
from tokencredit.errors import UserError
from tokencredit.files import sha256

CONFIG = Path(__file__).parents[2] / "config"


def settings(**pretraining: object) -> EmbeddedModel:
    return EmbeddedModel(
        kind="embedded",
        title="Tiny",
        hidden_size=32,
        layers=2,
        heads=2,
        intermediate_size=64,
        max_tokens=160,
        prompt="{problem}\n",
        pretraining={
            "seed": 0,
            "steps": 25,
            "batch": 8,
            "learning_rate": 0.005,
            "warmup_steps": 5,
            "weight_decay": 0.1,
            "tiers": [1, 2],
            "problems": 120,
        }
        | pretraining,
    )


def folder_with(model: EmbeddedModel, folder: Path) -> Path:
    """The real configuration with one more model, ``tiny``."""
    folder.mkdir()
    for file in CONFIG.glob("*.yaml"):
        (folder / file.name).write_bytes(file.read_bytes())
    models = yaml.safe_load((CONFIG / "models.yaml").read_text(encoding="utf-8"))
    models["models"]["tiny"] = model.model_dump(mode="json")
    (folder / "models.yaml").write_text(yaml.safe_dump(models), encoding="utf-8")
    return folder


def test_the_loss_falls_and_every_step_is_logged(tmp_path: Path) -> None:
    config = settings()
    _, summary = pretrain(config, new_tokenizer(config), tmp_path / "train.jsonl")
    records = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["step"] for record in records] == list(range(1, 26))
    assert records[-1]["loss"] < 0.8 * records[0]["loss"]
    assert summary["tokens"] == records[-1]["tokens"] > 0


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    def weights(seed: int) -> torch.Tensor:
        config = settings(seed=seed, steps=6)
        model, _ = pretrain(config, new_tokenizer(config), tmp_path / "train.jsonl")
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    state = torch.random.get_rng_state()
    first = weights(0)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))
    assert torch.equal(state, torch.random.get_rng_state())  # the caller's generator is left alone


def test_the_loss_sums_over_solution_tokens_and_ignores_padding() -> None:
    config = settings()
    tokenizer = new_tokenizer(config)
    model = build_model(config, tokenizer).double()
    batch = sorted(make_examples(config, tokenizer), key=len)[::40]
    assert len({len(example) for example in batch}) > 1
    total = torch.zeros((), dtype=torch.float64)
    for example in batch:
        ids = torch.tensor([[*example.prompt, *example.solution]])
        start = len(example.prompt)
        logprobs = torch.log_softmax(model(ids).logits[0, start - 1 : -1], -1)
        total -= logprobs.gather(-1, ids[0, start:, None]).sum()
    torch.testing.assert_close(solution_loss(model, batch, tokenizer.pad_token_id), total, atol=1e-9, rtol=0)


def test_the_learning_rate_warms_up_and_decays() -> None:
    pretraining = settings().pretraining
    rates = [learning_rate(step, pretraining) for step in range(1, 26)]
    assert rates[0] == pytest.approx(0.001)
    assert max(rates) == rates[4] == pytest.approx(0.005)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(0.0001)


def test_a_text_that_does_not_fit_and_a_prompt_that_cannot_be_read_are_errors() -> None:
    short = settings().model_copy(update={"max_tokens": 20})
    with pytest.raises(UserError, match="max_tokens = 20 is less than the longest generated text"):
        make_examples(short, new_tokenizer(short))
    strange = settings().model_copy(update={"prompt": "{problem}\nZzz"})
    with pytest.raises(UserError, match="cannot read 'Zzz'"):
        make_examples(strange, new_tokenizer(strange))


def test_the_stage_writes_a_folder_that_loads_and_a_manifest_that_describes_it(tmp_path: Path) -> None:
    out = tmp_path / "models" / "tiny"
    (out / ".unfinished-killed").mkdir(parents=True)
    config = folder_with(settings(), tmp_path / "config")
    result = CliRunner().invoke(
        app, ["--config", str(config), "--model", "tiny", "--out", str(out)], catch_exceptions=False
    )
    assert result.exit_code == 0
    manifest = load_manifest(out)
    assert (manifest["model"], manifest["kind"], manifest["revision"]) == ("tiny", "embedded", None)
    assert manifest["sha256"] == sha256(out / "model.safetensors")
    assert not list(out.glob(".unfinished*"))
    model, tokenizer = load_policy(out), load_tokenizer(out)
    assert model.dtype == torch.float32
    assert sum(parameter.numel() for parameter in model.parameters()) == manifest["parameters"]
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.config.vocab_size == len(tokenizer)
    assert load_policy(out, torch.bfloat16).dtype == torch.bfloat16


def test_a_stage_that_fails_leaves_no_manifest(tmp_path: Path) -> None:
    out = tmp_path / "models" / "tiny"
    out.mkdir(parents=True)
    (out / "model.json").write_text("{}", encoding="utf-8")
    config = folder_with(settings().model_copy(update={"max_tokens": 20}), tmp_path / "config")
    with pytest.raises(UserError, match="max_tokens"):
        CliRunner().invoke(app, ["--config", str(config), "--model", "tiny", "--out", str(out)], catch_exceptions=False)
    assert list(out.iterdir()) == []


def test_a_folder_without_a_model_or_with_a_truncated_one_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json is missing"):
        load_policy(tmp_path)
    config = settings()
    tokenizer = new_tokenizer(config)
    build_model(config, tokenizer).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="the model cannot be read"):
        load_policy(tmp_path)


def test_an_unknown_model_is_an_error_that_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"models\.nobody is not known; allowed: .*embedded-1m"):
        CliRunner().invoke(
            app, ["--config", str(CONFIG), "--model", "nobody", "--out", str(tmp_path / "x")], catch_exceptions=False
        )


def test_the_studies_model_has_about_a_million_parameters() -> None:
    model = Config(CONFIG).models["embedded-1m"]
    assert 1.0e6 <= build_model(model, new_tokenizer(model)).num_parameters() <= 1.3e6


def test_reading_manifests_imports_no_torch() -> None:
    import subprocess

    code = "import sys, tokencredit.base; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
