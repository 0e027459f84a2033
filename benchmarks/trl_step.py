"""TRL's side of the benchmark of a training step."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any

import torch
from datasets import Dataset
from shapes import DEVICE, PRECISION
from step import Meter, Ours, Setting, Work
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl import GRPOConfig, GRPOTrainer


class TimedTrainer(GRPOTrainer):
    """TRL's trainer with a meter: what it does without a gradient before the updates is scoring, or preparation."""

    meter: Meter

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        with self.meter.timed("prepare"):
            return super()._generate_and_score_completions(inputs)

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **named: Any) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            return super()._get_per_token_logps_and_entropies(*arguments, **named)
        with self.meter.timed("score"):
            return super()._get_per_token_logps_and_entropies(*arguments, **named)


class Turns(TrainerCallback):
    """After each of TRL's steps, ``updates`` of its optimiser's, one of ours if there are any; what is not ours is TRL's."""

    def __init__(self, trainer: TimedTrainer, ours: Ours | None, work: Work, updates: int) -> None:
        self.meter, self.ours, self.work, self.updates = trainer.meter, ours, work, updates
        self.running = contextlib.ExitStack()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.running.enter_context(self.meter.timed("update"))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.updates == 0:
            self.running.close()
            self.meter.stop()
            if self.ours:
                self.ours.step(self.work)
            self.running.enter_context(self.meter.timed("update"))


@contextlib.contextmanager
def trl_trainer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, setting: Setting, work: Work | None, steps: int
) -> Iterator[TimedTrainer]:
    """A trainer that is given the responses of ``work``, or samples for itself where there is none."""
    micro_batches = setting.rows // setting.updates // setting.trl_batch

    def scripted(prompts: list[str], _: GRPOTrainer) -> dict[str, Any]:
        if prompts != [text for text in work.texts for _ in range(setting.group_size)]:
            raise AssertionError("TRL asks for other prompts than ours are trained on")
        return {"prompt_ids": work.prompts, "completion_ids": work.responses, "logprobs": None}

    def reward(completions: list[str], **_: Any) -> list[float]:
        return work.rewards if work else [0.0] * len(completions)

    with tempfile.TemporaryDirectory() as folder:
        trainer = TimedTrainer(
            model,
            reward,
            GRPOConfig(
                folder,
                max_steps=setting.updates * steps,
                num_generations=setting.group_size,
                per_device_train_batch_size=setting.trl_batch,
                gradient_accumulation_steps=micro_batches,
                steps_per_generation=micro_batches * setting.updates,
                max_completion_length=setting.longest,
                loss_type="dapo",
                epsilon=0.2,
                epsilon_high=0.28,
                learning_rate=2e-4,
                lr_scheduler_type="constant",
                shuffle_dataset=False,
                use_cpu=DEVICE == "cpu",
                bf16=PRECISION == "bf16",
                activation_checkpointing=False,
                logging_steps=10**6,
                disable_tqdm=True,
                save_strategy="no",
                report_to="none",
            ),
            train_dataset=Dataset.from_dict({"prompt": work.texts if work else ["?"]}),
            processing_class=tokenizer,
            rollout_func=scripted if work else None,
        )
        trainer.meter = Meter(model)
        yield trainer
