"""The checks of a node on the second device, in a process of its own: ``python -m tests.tools.checks_on_second_device <file>``."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch

from tests.second_device import NAME
from tests.train.on_second_device import PLANTS, planted
from tokencredit.tools.node.checks import check
from tokencredit.tools.node.node import Node

NAMES = ("head", "packing", "update in float64", "update in float32", "update in bf16")
LEFT_BEHIND = ("a number for each token on the CPU", "places in a pass on the CPU", "log-probs that stay for the loss")


def with_plant(name: str, node: Node) -> str:
    try:
        with planted(*PLANTS[name]):
            return check("update in float64", node)["told"]
    except RuntimeError as error:
        return str(error)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        far = Node(Path("config"), Path(folder), torch.device(NAME))
        found = {
            "checks": {name: check(name, far) for name in NAMES},
            "plants": {name: with_plant(name, far) for name in LEFT_BEHIND},
        }
    Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")
