"""The part of vLLM's worker that receives the policy's weights. vLLM loads this module by its name, inside the worker."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Iterable
from typing import Any

from safetensors import safe_open
from torch import Tensor, nn
from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
from vllm.platforms import current_platform

from tokencredit.engines.weights import imprint


class WeightReceiver:
    """Methods that vLLM adds to its worker (``worker_extension_cls``), whose model is ``model_runner.get_model()``."""

    model_runner: Any

    def receive_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Put weights, named as in a checkpoint, in the place of the model's own."""
        self.reload_weights(weights_iterator=weights)
        refresh_head(self.model_runner.get_model())

    def imprints(self, shapes: dict[str, list[int]]) -> dict[str, int]:
        """The ``imprint`` of those weights that the model holds under these names and in these shapes, more rows aside."""
        own = dict(self.model_runner.get_model().named_parameters())
        return {
            name: imprint(own[name][:rows])
            for name, (rows, *columns) in shapes.items()
            if name in own and len(own[name]) >= rows and list(own[name].shape[1:]) == columns
        }

    def end_with(self, trainer: int) -> None:
        """When the process of number ``trainer`` ends, even by a kill, end this one, and the one between the two where vLLM has one."""
        ended, ours = os.pidfd_open(trainer), {os.getpid(), os.getppid()} - {trainer}

        def watch() -> None:
            select.select([ended], [], [])
            for process in ours:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

        threading.Thread(target=watch, daemon=True).start()

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
