"""The door that every model comes in by: which architectures are computed as transformers does, and what is refused in a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from tests.architectures import END, REFUSED, VERIFIED, tiny
from tokencredit.base import load_policy
from tokencredit.base.checked import check_model
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence, logits, scoring
from tokencredit.records import Request

PROMPTS = [(5, 6, 7), tuple(range(1, 10)), tuple(range(20, 37))]
LONGEST = 48
DOCS = Path("docs/models.md").read_text(encoding="utf-8")


class Numbers:
    eos_token_id = END

    def decode(self, ids, **_: object) -> str:
        return " ".join(map(str, ids))


def table(heading: str) -> list[str]:
    """The first column of the table under a heading of the documentation."""
    part = DOCS.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` ", part, re.MULTILINE)


def test_the_tables_of_the_documentation_are_what_is_tested_here() -> None:
    assert table("Verified") == list(VERIFIED)
    assert table("Refused") == list(REFUSED)


@pytest.mark.slow
@pytest.mark.parametrize("name", VERIFIED)
def test_sampler_scorer_and_model_agree(name: str, tmp_path: Path) -> None:
    """By hand, beside the check: prompts of unequal lengths in one batch, responses across every window and every stretch of a rope."""
    tiny(*VERIFIED[name]).save_pretrained(tmp_path)
    model = load_policy(tmp_path, longest=LONGEST)
    requests = [Request(prompt, 10 * len(prompt) + k) for prompt in PROMPTS for k in range(2)]
    responses = TransformersEngine(model, Numbers()).sample(requests, temperature=1.0, top_p=1.0, max_tokens=24)
    sequences = [Sequence(r.prompt_tokens, a.token_ids) for r, a in zip(requests, responses, strict=True)]
    scored = Scorer(model).score(sequences, 150)[0].split([len(sequence.response) for sequence in sequences])
    for sequence, response, by_scorer in zip(sequences, responses, scored, strict=True):
        ids = torch.tensor([sequence.prompt + sequence.response])
        with torch.no_grad():
            own = model(ids, use_cache=False).logits[0, len(sequence.prompt) - 1 : -1].log_softmax(-1)
        own = own.gather(-1, torch.tensor(sequence.response)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(response.logprobs), own, atol=1e-4, rtol=0)
        torch.testing.assert_close(by_scorer, own, atol=1e-4, rtol=0)
    check_model(name, model, Numbers(), PROMPTS, LONGEST)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_computed_here_is_refused_in_a_sentence(name: str) -> None:
    family, changes, match = REFUSED[name]
    with pytest.raises(UserError, match=match):
        check_model(name, tiny(family, changes), Numbers(), PROMPTS, LONGEST)


def test_a_sampler_that_ignores_windows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What every engine with a mask of its own does: all layers see everything before them."""
    model = tiny(*VERIFIED["mistral, windows"])
    forward = TransformersEngine._forward

    def unwindowed(engine: TransformersEngine, *args: object) -> torch.Tensor:
        window, model.config.sliding_window = model.config.sliding_window, 10_000
        made = forward(engine, *args)
        model.config.sliding_window = window
        return made

    monkeypatch.setattr(TransformersEngine, "_forward", unwindowed)
    sentence = r"^X: the sampler's log-probs are .* after a prompt of \d+ tokens.* docs/models\.md"
    with pytest.raises(UserError, match=sentence):
        check_model("X", model, Numbers(), PROMPTS, LONGEST)
    check_model("X", model, Numbers(), PROMPTS, LONGEST, sampled=False)


@pytest.mark.parametrize("sampled", [True, False])
def test_a_scorer_that_forgets_the_soft_cap_is_found(monkeypatch: pytest.MonkeyPatch, sampled: bool) -> None:
    monkeypatch.setattr(scoring, "head_of", lambda model: logits.Head(1.0, None))
    model = tiny(*VERIFIED["gemma2, windows and soft caps"])
    with pytest.raises(UserError, match="the trainer's scorer's log-probs are"):
        check_model("X", model, Numbers(), PROMPTS, LONGEST, sampled)


def test_the_check_changes_neither_the_model_nor_the_random_generators() -> None:
    model = tiny(*VERIFIED["qwen2, windows"]).train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    state = torch.get_rng_state()
    check_model("X", model, Numbers(), PROMPTS, LONGEST)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(weight.equal(before[name]) for name, weight in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_a_model_that_samples_beyond_its_positions_is_refused() -> None:
    model = tiny("llama", dict(max_position_embeddings=16))
    with pytest.raises(UserError, match=r"may take 50 tokens; the model has positions for 16"):
        TransformersEngine(model, Numbers()).sample([Request((1,) * 10, 0)], temperature=1.0, top_p=1.0, max_tokens=40)


def test_a_pass_beyond_the_length_that_a_rope_was_settled_for_is_refused() -> None:
    model = tiny(*VERIFIED["phi3, LongRoPE"])
    TransformersEngine(model, Numbers()).sample([Request((1, 2), 0)], temperature=1.0, top_p=1.0, max_tokens=6)
    with pytest.raises(UserError, match=r"a pass of 9 tokens: .* fixed for 8 tokens"):
        model(torch.ones(1, 9, dtype=torch.long))


def test_a_model_that_cannot_compute_its_own_log_probs_is_refused() -> None:
    model = tiny("codegen", dict(n_embd=32, n_head=4, n_layer=2, rotary_dim=64, n_positions=128))
    with pytest.raises(UserError, match="X: CodeGenForCausalLM cannot compute its own log-probs"):
        check_model("X", model, Numbers(), PROMPTS, LONGEST, sampled=False)
