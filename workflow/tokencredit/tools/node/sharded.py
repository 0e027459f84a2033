"""An update in several processes: ``python -m tokencredit.tools.node.sharded <config> <file> <processes>``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tokencredit.tools.node.case import BFLOAT16, FLOAT64, computed, new_case
from tokencredit.train.launch import launch, numbered
from tokencredit.train.processes import joined


def main(config: Path, out: Path, processes: int) -> None:
    """Start ``processes``, which compute the case together; ``out`` gets the first one's numbers, by precision."""
    if not numbered():
        sys.exit(launch([sys.executable, "-m", "tokencredit.tools.node.sharded", *sys.argv[1:]], processes))
    with joined() as together:
        case = new_case(config)
        found = {precision: computed(case, together, precision) for precision in (FLOAT64, BFLOAT16)}
        if together.first:
            torch.save(found, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
