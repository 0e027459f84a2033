"""``python -m tokencredit.tools.bench``: makes what CreditBench ships. What reads it is ``tokencredit creditbench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli
from tokencredit.config import Config

app = cli.new_app(
    "Make what CreditBench ships: the records from bundles (needs torch), the leaderboard from the records."
)
ConfigOption = Annotated[Path, typer.Option(help="Folder of the configuration.")]


@app.command()
def records(config: ConfigOption = Path("config")) -> None:
    """Take measured tokens and training runs from the bundles, and assign the credits of all methods."""
    from tokencredit.tools import bench_records

    bench_records.records(Config(config))


@app.command()
def credits(config: ConfigOption = Path("config")) -> None:
    """Assign the credits of all methods anew, of the same tokens."""
    from tokencredit.tools import bench_records

    bench_records.credits(Config(config))


@app.command()
def leaderboard(config: ConfigOption = Path("config")) -> None:
    """Compare the shipped credits with the measured ones; write leaderboard.csv and its figure."""
    from tokencredit.creditbench import board

    board.make(Config(config))


if __name__ == "__main__":
    cli.run(app)
