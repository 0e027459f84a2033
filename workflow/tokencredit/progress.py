"""Progress bars on standard error."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm


def bar(name: str, total: int, shown: bool = True, done: int = 0) -> tqdm:
    """A bar of ``total`` things, ``done`` of them before, or one that draws nothing. A context manager with ``update``."""
    return tqdm(total=total, initial=done, desc=name, disable=not shown)


def show_step(bar: tqdm, record: dict[str, Any]) -> None:
    """One more step of training, with its solve rate and its mean entropy (nats)."""
    bar.update()
    bar.set_postfix(solved=f"{record['solve_rate']:.2f}", entropy=f"{record.get('entropy', float('nan')):.3f}")


def show_loss(bar: tqdm, loss: float) -> None:
    """One more step of pretraining, with its loss (nats per token)."""
    bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
    bar.update()
