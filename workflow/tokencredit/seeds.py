"""Stateless randomness: every random choice is a hash of what it is for, so that a resumed run equals an uninterrupted one."""

from __future__ import annotations

import hashlib
import operator
from typing import TYPE_CHECKING

# The graph names random choices and makes none: it starts without numpy.
if TYPE_CHECKING:
    import numpy as np


def derive_seed(*parts: int | str) -> int:
    """A seed in [0, 2**63) from the names of a random choice, e.g. ``derive_seed(run_seed, "rollout", step, problem_id, sample)``."""
    # A number from a table is the same choice as a plain one.
    text = "\x1f".join(f"str:{part}" if isinstance(part, str) else f"int:{operator.index(part)}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: int | str) -> np.random.Generator:
    """A numpy generator for one named random choice."""
    import numpy as np

    return np.random.default_rng(derive_seed(*parts))


def uniforms(seeds: np.ndarray, position: np.ndarray | int) -> np.ndarray:
    """One uniform in [0, 1) per row from (seed, position), by the splitmix64 finaliser: the sampler's noise.

    ``seeds``: uint64 [R]; ``position``: the token's place in its response. A row's noise does not depend on its neighbours.
    """
    import numpy as np

    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        z = np.asarray(seeds, np.uint64) + (np.asarray(position, np.uint64) + np.uint64(1)) * golden
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
