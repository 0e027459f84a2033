"""What vLLM's worker learns here: to take over the policy's weights. vLLM loads this module by its name, inside the worker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from safetensors import safe_open
from torch import Tensor, nn
from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
from vllm.platforms import current_platform


class WeightReceiver:
    """Methods that vLLM adds to its worker (``worker_extension_cls``), whose model is ``model_runner.get_model()``."""

    model_runner: Any

    def receive_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Put weights, named as in a checkpoint, in the place of the model's own."""
        self.reload_weights(weights_iterator=weights)
        refresh_head(self.model_runner.get_model())

    def receive_file(self, path: str) -> None:
        """The same from a safetensors file."""
        with safe_open(path, framework="pt") as file:
            self.receive_weights((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118  it is no mapping


def refresh_head(model: nn.Module) -> None:
    """On a CPU, pack the head's weights again.

    There vLLM computes logits from a packed copy of them, made when the model is loaded. A reload makes it anew for a head with weights
    of its own; a head that shares those of the embedding is passed over, and would go on from the old copy without a word.
    """
    if current_platform.is_cpu():
        dispatch_cpu_unquantized_gemm(model.lm_head, remove_weight=False)
