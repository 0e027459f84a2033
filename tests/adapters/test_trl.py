"""The credit functions inside TRL's trainer: whole groups, whole batches, and refusals where there are none."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import debug_launcher
from accelerate.state import AcceleratorState, GradientState, PartialState
from datasets import Dataset
from peft import LoraConfig
from transformers import Qwen3ForCausalLM

from tests.adapters.trl_trainers import (
    GROUP,
    ExactCreditTrainer,
    ExactGRPOTrainer,
    make_trainer,
    parity,
    scripted_rollouts,
    settings,
    step_taken,
    tiny_policy,
)
from tests.credit.conftest import make_signals, staged
from tokencredit.adapters.trl import AGGREGATIONS, MISSING, CreditGRPOTrainer, support
from tokencredit.credit import METHODS, TokenCredit, TokenSignals, assign, controlled
from tokencredit.data.embedded_tokenizer import build_tokenizer
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence, policy_loss

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("frozen_garbage")]

DOCS = Path(__file__).parents[2] / "docs" / "adapters.md"
USABLE = [name for name in METHODS if support(name).startswith("yes")]


def form(name: str) -> tuple[object, ...]:
    """What the trainer meets of a method: when it acts, its columns, and the form of its loss. Methods of one form differ in numbers."""
    method, credit = METHODS[name], assign(name, staged(name, make_signals()))
    options = (credit.denominator, credit.ratio, credit.surrogate, credit.entropy_coef == 0, *credit.per_token)
    return (method.stage, method.masks, *method.columns, *options)


# The loss itself is tested under each aggregation for every form of credit; here each of these meets one.
IN_TURN = list(zip(["eapo-per-update", "gspo", "kl-cov", "entroreg", "nhr"], cycle(AGGREGATIONS), strict=False))
OF_EACH_FORM = list({form(name): name for name in reversed(USABLE)}.values())


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored model: TRL loads its reference from there."""
    folder = tmp_path_factory.mktemp("model")
    tiny_policy(build_tokenizer()).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("loss_type", AGGREGATIONS)
def test_grpo_credit_is_trls_own_step(loss_type: str, tmp_path: Path) -> None:
    args = settings(tmp_path, loss_type=loss_type)
    plain = step_taken(make_trainer(ExactGRPOTrainer, args))
    ours = step_taken(make_trainer(ExactCreditTrainer, args, credit="grpo"))
    eapo = step_taken(make_trainer(ExactCreditTrainer, args, credit="eapo"))
    torch.testing.assert_close(ours, plain, atol=1e-12, rtol=0)
    assert (eapo - plain).norm() > 1e-3 * plain.norm()


def test_the_same_holds_with_trls_own_head_and_sampling(tmp_path: Path) -> None:
    args = settings(tmp_path, temperature=0.8)
    plain = step_taken(make_trainer(CreditGRPOTrainer.__base__, args, rollout_func=None))
    ours = step_taken(make_trainer(CreditGRPOTrainer, args, rollout_func=None, credit="grpo"))
    assert plain.norm() > 0.1
    torch.testing.assert_close(ours, plain, atol=1e-6 * float(plain.abs().max()), rtol=0)


@pytest.mark.parametrize(("credit", "loss_type"), [*product(["eapo", "forking"], AGGREGATIONS), *IN_TURN])
def test_two_steps_are_the_packages_own(credit: str, loss_type: str, tmp_path: Path) -> None:
    """Rebuilt without TRL: the rollouts as flat tokens, our own head, credit and loss, and SGD; the second step is off-policy."""
    rollouts: list[dict[str, Any]] = []

    def recorded(prompts: list[str], trainer: Any) -> dict[str, Any]:
        rollouts.append(scripted_rollouts(prompts, trainer))
        return rollouts[-1].copy()

    rate = 0.3
    args = settings(tmp_path, loss_type=loss_type, num_iterations=2, max_steps=2, learning_rate=rate)
    taken = step_taken(make_trainer(ExactCreditTrainer, args, rollout_func=recorded, credit=credit))
    (rollout,) = rollouts
    scorer = Scorer(tiny_policy(build_tokenizer()).double())
    sequences = [
        Sequence(tuple(p), tuple(c)) for p, c in zip(rollout["prompt_ids"], rollout["completion_ids"], strict=True)
    ]
    old = flat_signals(scorer, sequences, torch.tensor(parity(rollout["completion_ids"])))
    start = torch.cat([value.detach().flatten() for value in scorer.parameters()])
    optimizer = torch.optim.SGD(scorer.parameters(), lr=rate)
    for _ in range(2):
        logprob, entropy = scorer(sequences)
        signals = old
        if METHODS[credit].stage == "update":
            signals = dataclasses.replace(old, logprob=logprob.detach(), entropy=entropy.detach())
        loss, _ = policy_loss(
            logprob,
            signals,
            assign(credit, signals),
            aggregation=AGGREGATIONS[loss_type],
            max_response_tokens=args.max_completion_length,
            entropy=entropy,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    expected = torch.cat([value.detach().flatten() for value in scorer.parameters()]) - start
    assert expected.norm() > 1e-3
    # TRL pads prompts on the left, so rotary angles, which are float32, differ in their last digits.
    torch.testing.assert_close(taken, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


def flat_signals(scorer: Scorer, sequences: list[Sequence], reward: torch.Tensor) -> TokenSignals:
    """Signals of groups of ``GROUP`` with TRL's advantage."""
    grouped = reward.view(-1, GROUP)
    advantage = (grouped - grouped.mean(1, keepdim=True)) / (grouped.std(1, keepdim=True) + 1e-4)
    lengths = torch.tensor([len(sequence.response) for sequence in sequences])
    with torch.no_grad():
        logprob, entropy = scorer(sequences)
    return TokenSignals(
        response=torch.arange(len(lengths)).repeat_interleave(lengths),
        position=torch.cat([torch.arange(length) for length in lengths.tolist()]),
        entropy=entropy,
        old_logprob=logprob,
        reward=reward,
        advantage=advantage.flatten(),
        group=torch.arange(len(reward)) // GROUP,
    )


@pytest.mark.parametrize("name", OF_EACH_FORM)
def test_micro_batches_change_nothing(name: str, model_dir: Path, tmp_path: Path) -> None:
    """Two steps on the same rollouts, the second off-policy: four micro-batches are one batch."""

    def moved(parts: int) -> torch.Tensor:
        reference = "ref_logprob" in METHODS[name].columns
        args = settings(
            tmp_path,
            per_device_train_batch_size=16 // parts,
            gradient_accumulation_steps=parts,
            num_iterations=2,
            max_steps=2,
            learning_rate=0.3,
            beta=0.05 * reference,
            use_bias_correction_kl=False,
        )
        model = Qwen3ForCausalLM.from_pretrained(model_dir, dtype=torch.float64)
        trainer = make_trainer(ExactCreditTrainer, args, model=model, credit=name)
        if reference:
            with torch.no_grad():
                for value in trainer.ref_model.parameters():
                    value.mul_(1.1)
        return step_taken(trainer)

    torch.testing.assert_close(moved(4), moved(1), atol=1e-10, rtol=0)


def test_several_updates_on_one_generation_see_its_whole_credit(tmp_path: Path) -> None:
    seen: list[TokenSignals] = []

    def credit(signals: TokenSignals) -> TokenCredit:
        seen.append(signals)
        return controlled("shuffled", signals, assign("eapo", signals))

    def moved(size: int, accumulated: int) -> torch.Tensor:
        args = settings(
            tmp_path,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulated,
            steps_per_generation=16 // size,
            max_steps=4,
            learning_rate=0.1,
        )
        return step_taken(make_trainer(ExactCreditTrainer, args, credit=credit))

    torch.testing.assert_close(moved(4, 2), moved(8, 1), atol=1e-10, rtol=0)
    assert [len(signals.reward) for signals in seen] == [16] * 4
    assert [signals.progress for signals in seen] == [0.0, 0.5] * 2
    assert seen[0].noise is not None
    assert seen[1].noise is not None
    assert len(seen[0].noise.unique()) == len(seen[0].noise)
    assert seen[0].noise[0] != seen[1].noise[0]


def _two_processes(args: dict[str, Any], folder: str) -> None:
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    for credit in ("eapo", "kl-cov"):
        trainer = make_trainer(ExactCreditTrainer, settings(folder, **args), credit=credit)
        taken = step_taken(trainer)
        if trainer.accelerator.is_main_process:
            torch.save(taken, f"{folder}/{credit}.pt")


def test_two_processes_are_one_batch(tmp_path: Path) -> None:
    """Three groups of four on two processes with six responses each: the second group is on both."""
    steps = {"num_iterations": 2, "max_steps": 2, "learning_rate": 0.3}
    split = {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 2, **steps}
    debug_launcher(_two_processes, args=(split, str(tmp_path)), num_processes=2)
    whole = {"per_device_train_batch_size": 12, "gradient_accumulation_steps": 1, **steps}
    for credit in ("eapo", "kl-cov"):
        alone = step_taken(make_trainer(ExactCreditTrainer, settings(tmp_path, **whole), credit=credit))
        torch.testing.assert_close(torch.load(tmp_path / f"{credit}.pt"), alone, atol=1e-10, rtol=0)


def test_a_response_without_a_reward_leaves_its_group(tmp_path: Path) -> None:
    seen: list[TokenSignals] = []

    def credit(signals: TokenSignals) -> TokenCredit:
        seen.append(signals)
        return assign("dr-grpo", signals)

    def partly(completion_ids: list[list[int]], **_: Any) -> list[float | None]:
        return [None, *parity(completion_ids)[1:]]

    step_taken(make_trainer(ExactCreditTrainer, settings(tmp_path), reward_funcs=partly, credit=credit))
    (signals,) = seen
    assert 0 not in signals.response
    assert float(signals.reward[0]) == pytest.approx(float(signals.reward[1:GROUP].mean()))
    rest = assign("dr-grpo", signals).advantage[signals.response == 1]
    assert float(rest[0]) == pytest.approx(float(signals.reward[1] - signals.reward[1:GROUP].mean()))


@pytest.mark.parametrize(("credit", "same"), [("grpo", None), ("eapo-per-update", "eapo")])
def test_evaluation_leaves_training_alone(credit: str, same: str | None, tmp_path: Path) -> None:
    """An evaluation between two updates on one generation; its loss is TRL's own, and a current policy is then the old one."""
    prompts = Dataset.from_dict({"prompt": ["Mia has 4 cards.", "Tom buys 6 books."]})
    steps = {"max_steps": 2, "num_iterations": 2, "learning_rate": 0.1}
    watched = settings(tmp_path, eval_strategy="steps", eval_steps=1, **steps)
    alone = step_taken(make_trainer(ExactCreditTrainer, settings(tmp_path, **steps), credit=credit))
    trainer = make_trainer(ExactCreditTrainer, watched, credit=credit, eval_dataset=prompts)
    torch.testing.assert_close(step_taken(trainer), alone, atol=1e-10, rtol=0)
    other = (ExactCreditTrainer, {"credit": same}) if same else (ExactGRPOTrainer, {})
    compared = make_trainer(other[0], watched, eval_dataset=prompts, **other[1])
    expected = compared.evaluate()["eval_loss"]
    fresh = make_trainer(ExactCreditTrainer, watched, credit=credit, eval_dataset=prompts)
    assert fresh.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-6)


def test_an_adapter_is_its_own_reference(model_dir: Path, tmp_path: Path) -> None:
    args = settings(tmp_path, beta=0.1, use_bias_correction_kl=False, num_iterations=2, max_steps=2, learning_rate=0.3)
    trainer = make_trainer(
        ExactCreditTrainer,
        args,
        model=Qwen3ForCausalLM.from_pretrained(model_dir),
        credit="erpo",
        peft_config=LoraConfig(target_modules=["q_proj", "v_proj"], r=2),
    )
    assert step_taken(trainer).norm() > 0
    assert trainer.state.log_history[-2]["kl"] > 0
    assert trainer.state.log_history[0]["credit/kept"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("credit", "changed", "sentence"),
    [
        ("eapoo", {}, "credit = 'eapoo' is not known; allowed: archer"),
        ("erpo", {}, "needs the column 'ref_logprob', which TRL gives with `beta` above 0"),
        ("eapo", {"loss_type": "bnpo"}, "loss_type = 'bnpo'; allowed: grpo, dapo, dr_grpo"),
        ("eapo", {"loss_type": "cispo"}, "is a method, such as credit='cispo'"),
        ("eapo", {"importance_sampling_level": "sequence"}, "credit='gspo'"),
        ("eapo", {"top_entropy_quantile": 0.2}, "credit='forking'"),
        ("eapo", {"entropy_coef": 0.01}, "credit='entroreg'"),
        ("eapo", {"delta": 4.0}, "delta = 4.0; it must be None"),
        ("eapo", {"beta": 0.1}, "use_bias_correction_kl = True with beta = 0.1; it must be False"),
        ("eapo", {"use_vllm": True}, "vllm_importance_sampling_correction must be False"),
        ("eapo", {"steps_per_generation": 2}, "steps_per_generation = 2 must be a multiple"),
        ("forking", {"steps_per_generation": 8}, "steps_per_generation = 8 must equal gradient_accumulation_steps = 4"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    credit: str, changed: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence.replace("(", r"\(")):
        make_trainer(ExactCreditTrainer, settings(tmp_path, **changed), credit=credit)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in USABLE])
def test_methods_without_their_columns_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{name!r} needs the column"):
        make_trainer(ExactCreditTrainer, settings(tmp_path), credit=name)


def test_parameters_are_checked_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="credit method 'eapo' has no parameter 'alfa'; allowed: alpha, phi"):
        CreditGRPOTrainer("no-such-model", parity, settings(tmp_path), credit="eapo", credit_params={"alfa": 1.0})
    with pytest.raises(UserError, match="credit_params belong to a method's name"):
        CreditGRPOTrainer(
            "no-such-model", parity, settings(tmp_path), credit=dataclasses.replace, credit_params={"alpha": 1.0}
        )
    with pytest.raises(UserError, match="needs the column 'rollout_logprob'"):
        CreditGRPOTrainer("no-such-model", parity, settings(tmp_path), credit="tis")


def test_parameters_reach_the_method(tmp_path: Path) -> None:
    half = make_trainer(ExactCreditTrainer, settings(tmp_path), credit="eapo", credit_params={"alpha": 0.0})
    plain = make_trainer(ExactCreditTrainer, settings(tmp_path), credit="grpo")
    torch.testing.assert_close(step_taken(half), step_taken(plain), atol=1e-12, rtol=0)


def test_the_documentation_says_which_methods_can_be_used() -> None:
    table = DOCS.read_text(encoding="utf-8").split("\n### Which methods\n")[1].split("\n### ")[0]
    rows = re.findall(r"^\| (.+) \| (`.+`) \|$", table, re.MULTILINE)
    listed = [(name, answer) for answer, names in rows for name in names.strip("`").split("`, `")]
    assert sorted(listed) == sorted((name, support(name)) for name in METHODS), f"{DOCS}, section TRL"
    assert {column for name in METHODS for column in METHODS[name].columns} >= set(MISSING)


def test_the_example_runs() -> None:
    path = DOCS.parent / "examples" / "trl_eapo.py"
    spec = importlib.util.spec_from_file_location("trl_eapo", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    trainer = example.main(steps=2, pretraining_steps=150)
    steps = [record for record in trainer.state.log_history if "entropy" in record]
    assert len(steps) == 2
    assert any(record["grad_norm"] > 0 and record["reward_std"] > 0 for record in steps)
