"""Settings of the comparison of all methods."""

from itertools import pairwise
from typing import Self

from pydantic import model_validator

from .base import Section, setting


class CompareSettings(Section):
    """The learning curves of the comparison (docs/how-to/compare.md). Its intervals are those of `evaluation`."""

    label_shares: list[float] = setting(
        [0.05, 0.10, 0.25, 0.50, 1.0],
        "Shares of the training patients that are labelled, ascending. At least three with a fracture are kept.",
        "fraction",
        min_length=1,
    )
    label_draws: int = setting(
        5,
        "Draws of the labelled patients for each share below 1. A draw takes as long as a calibration.",
        "count",
        ge=1,
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        shares = self.label_shares
        if shares[0] <= 0 or shares[-1] > 1 or any(low >= high for low, high in pairwise(shares)):
            raise ValueError(f"label_shares must be above 0, at most 1 and ascending, not {shares}")
        return self
