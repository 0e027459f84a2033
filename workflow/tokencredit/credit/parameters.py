"""The kinds of parameters that credit functions take. Their bounds are checked with the configuration, before any job starts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(gt=0, le=1)]
UpToOne = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
AboveOne = Annotated[float, Field(gt=1)]
AtLeastOne = Annotated[float, Field(ge=1)]
Count = Annotated[int, Field(ge=1)]
CountFromZero = Annotated[int, Field(ge=0)]
