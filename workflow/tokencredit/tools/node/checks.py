"""The checks of a node by name, and the process of one: ``python -m tokencredit.tools.node.checks <name> <config> <folder>``.

Each has a process of its own, because a GPU that fails once fails for the rest of a process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch

from tokencredit import files
from tokencredit.errors import UserError
from tokencredit.tools.node import numbers, runs
from tokencredit.tools.node.node import LeftOutError, Node

# A sentence of what was found; ``UserError`` where that is wrong, ``LeftOutError`` where there is nothing to check with.
Check = Callable[[Node], str]

CHECKS: dict[str, Check] = {
    "head": numbers.head,
    "update in float64": numbers.float64,
    "update in float32": numbers.float32,
    "update in bf16": numbers.bfloat16,
    "flash-attn": numbers.flash_attention,
    "packing": numbers.packing,
    "sharding": runs.sharding,
    "vLLM": runs.vllm,
    "kill and resume": runs.resume,
}


def check(name: str, node: Node) -> dict[str, str]:
    """How the check ended, ``outcome``, and what it ``told``. A defect, of the GPU or of the code, keeps its traceback."""
    try:
        return {"outcome": "passed", "told": CHECKS[name](node)}
    except LeftOutError as reason:
        return {"outcome": "left out", "told": str(reason)}
    except UserError as error:
        return {"outcome": "failed", "told": str(error)}


if __name__ == "__main__":
    name, config, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    files.write_json(folder / "found.json", check(name, Node(config, folder, device)))
