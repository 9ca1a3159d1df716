"""Severities in print: whoever rounds what is printed gets the grade that stands beside it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from helpers.patients import FRACTURE, index, page, patient
from vertegrade.grading.grade_scale import HALVES, grade_of
from vertegrade.report.severities import LIMITS, interval_text, severity_text


def test_what_is_printed_rounds_to_the_grade_for_every_severity() -> None:
    near = [limit + step for limit in HALVES for step in (-1e-12, -1e-6, 0.0, 1e-12, 1e-6)]
    severities = np.concatenate([np.linspace(0, 3, 4001), near])
    for decimals in (1, 2):
        texts = [severity_text(value, decimals) for value in severities]
        shown = np.array([float(text) for text in texts])
        assert (grade_of(shown) == grade_of(severities)).all()
        assert np.abs(shown - severities).max() <= 0.051
        assert (np.diff(shown[np.argsort(severities, kind="stable")]) >= 0).all()  # an interval stays around it
        assert max(map(len, texts)) == 4


@pytest.mark.parametrize(
    ("severity", "text"),
    [(1.44, "1.4"), (1.46, "1.46"), (1.4999, "1.49"), (1.5, "1.5"), (0.46, "0.46"), (2.96, "3.0"), (0.04, "0.0")],
)
def test_one_decimal_where_that_is_enough(severity: float, text: str) -> None:
    assert severity_text(severity) == text


def test_what_is_not_known_is_empty() -> None:
    assert severity_text(math.nan) == interval_text(math.nan, 1.0) == ""
    assert interval_text(0.5, 1.46, "–") == "0.5–1.46"
    assert list(LIMITS) == HALVES.tolist()


def test_pages_of_patients_print_no_severity_of_another_grade() -> None:
    ends = {"severity_low": 0.46, "severity_high": 2.47}
    mild = replace(FRACTURE, grade=1, severity=1.46, **ends, others={"pca": (1, 1.4999)})
    text = page(patient(mild)) + index([patient(mild)])
    assert '<span class="keep">1.46</span> <span class="keep">(0.46 to 2.47)</span>' in text
    assert "PCA 1 (1.49)" in text
