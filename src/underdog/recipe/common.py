"""What the sections of a recipe share: strictness, kinds of numbers, optimizers."""

import math
from collections.abc import Collection, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Below1 = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Optimizer(Section):
    kind: Literal["adamw", "muon"] = "adamw"
    """`muon` updates the matrices inside the blocks by orthogonalised momentum, the rest by AdamW."""
    beta1: Below1 = 0.9
    beta2: Below1 = 0.95
    """AdamW's second-moment decay; Muon's momentum."""
    weight_decay: NotNegative = 0.1
    clip: Positive = 1.0
    """Largest global norm of the gradient."""


def check_names(what: str, names: Sequence[str]) -> None:
    """Raises ValueError: two of them are equal."""
    if twice := [name for index, name in enumerate(names) if name in names[:index]]:
        raise ValueError(f'two tables of {what} are named "{twice[0]}"')


def check_shares(name: str, shares: Collection[float]) -> None:
    """Raises ValueError: there are shares, and they do not make 1, up to rounding."""
    if shares and abs((whole := math.fsum(shares)) - 1) >= 1e-6:
        raise ValueError(f"the shares of {name} make {whole:g}, not 1")
