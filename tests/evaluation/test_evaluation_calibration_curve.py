"""The calibration curve and the bands of thickness by hand."""

import numpy as np
import pandas as pd
import pytest

from vertegrade.evaluation.bands import thickness_bands
from vertegrade.evaluation.evaluate import _calibration
from vertegrade.settings.evaluation import EvaluationSettings


def test_bins_have_as_many_vertebrae_each_and_say_how_many_are_fractured() -> None:
    p = np.concatenate([np.linspace(0.01, 0.1, 90), np.linspace(0.2, 0.95, 10)])
    true = (np.arange(100) % 3 == 0).astype(int)
    graded = pd.DataFrame({"p_fracture": p, "genant_grade": true, "patient_id": [f"p{n:02d}" for n in range(100)]})
    settings = EvaluationSettings(bootstrap_resamples=20, minimum_cases=1)
    rows = _calibration(graded, 1, settings, 1)
    assert [row["n"] for row in rows] == [10] * 10
    for n, row in enumerate(rows):
        here = slice(10 * n, 10 * n + 10)
        assert row["predicted"] == pytest.approx(p[here].mean())
        assert row["value"] == pytest.approx(true[here].mean())


def test_a_thickness_on_an_edge_belongs_to_the_thinner_band() -> None:
    found, names = thickness_bands(pd.Series([0.5, 1.0, 1.004, 2.0, 2.5, 9.0, np.nan]), [1.0, 2.0])
    assert names == ["<= 1 mm", "1-2 mm", "> 2 mm", "unknown"]
    assert found.tolist() == ["<= 1 mm", "<= 1 mm", "<= 1 mm", "1-2 mm", "> 2 mm", "> 2 mm", "unknown"]
