"""Settings of the evaluation stage."""

from itertools import pairwise
from typing import Self

from pydantic import model_validator

from .base import Section, setting


class EvaluationSettings(Section):
    """How predictions are judged against Genant grades; nothing here is fitted."""

    bootstrap_resamples: int = setting(
        1000,
        "Bootstrap resamples of patients for each interval. At 1000 the ends of an interval vary by about 0.005.",
        "count",
        ge=20,
        le=100000,
    )
    confidence: float = setting(
        0.95, "Confidence of each interval. Papers usually print 0.95.", "fraction", gt=0.5, lt=1
    )
    minimum_cases: int = setting(
        3,
        "Fewest cases of each class that a metric needs. With fewer it is null, since it would be noise.",
        "count",
        ge=1,
    )
    thickness_bands_mm: list[float] = setting(
        [1.0, 2.0, 3.0],
        "Upper ends of the slice-thickness bands, ascending. Results are also given by band, since thick slices blur "
        "endplates.",
        "mm",
        min_length=1,
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        edges = self.thickness_bands_mm
        if edges[0] <= 0 or any(low >= high for low, high in pairwise(edges)):
            raise ValueError(f"thickness_bands_mm must be positive and ascending, not {edges}")
        return self
