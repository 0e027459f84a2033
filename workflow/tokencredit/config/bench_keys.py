"""Every key of ``config/creditbench.yaml``: where CreditBench has measured credit from, and which records it holds learning against."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tokencredit.config.keys import Name, Strict


class MeasuredPolicy(Strict):
    """A policy at whose responses the credit of tokens was measured."""

    title: str = Field(description="Name in the table and the figure: the task and the model.")
    bundle: str = Field(description="The bundle with the measurement, below the project's folder.")
    policy: Name = Field(
        description="Whose: `base` for the model that training starts from, or a method for the model it ends with."
    )


class BenchFile(Strict):
    """CreditBench: measured credit to hold token weights against, and training runs."""

    records: str = Field(description="Folder of what CreditBench ships beside the bundles, below the project's.")
    policies: dict[Name, MeasuredPolicy] = Field(
        description="Measured policies by name. The first one orders the table."
    )
    learning: list[str] = Field(description="Bundles of the studies whose training runs are shown.")
    positive_controls: list[Name] = Field(
        description="Methods whose credit is measured: where a study trained one, the study's other methods are held against it."
    )
    order: Literal["auc", "rho", "rho_information", "signed", "lift", "alternatives"] = Field(
        "auc", description="The measure that the table is ordered by, less its null."
    )
