"""The page and the figure of the comparison: each number of the table, papers apart, the same bytes each time."""

import hashlib
import re
from pathlib import Path

import pandas as pd
import pytest

from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation.comparison.cases import cases_of, left_out_table
from vertegrade.evaluation.comparison.figure import comparison_figure
from vertegrade.evaluation.comparison.measures import comparison_table
from vertegrade.evaluation.comparison.tables import OTHER_DATA, THIS_RUN, VERTEBRAE
from vertegrade.plotting import save_figure
from vertegrade.report.comparison.page import Compared, comparison_page
from vertegrade.report.comparison.rows import method_rows
from vertegrade.settings.evaluation import EvaluationSettings

COHORT = make_cohort(30)
CASES = cases_of({"dae": COHORT.dae, "pca": COHORT.pca}, COHORT.tables())
TABLE = comparison_table(CASES, EvaluationSettings(bootstrap_resamples=50), 1, 7)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figure")
    for suffix in ("svg", "pdf"):
        save_figure(comparison_figure(TABLE), folder / f"comparison.{suffix}")
    return folder


def page_of(drawn: Path, phantom: bool = True) -> str:
    compared = Compared(TABLE, left_out_table(CASES), drawn / "comparison.svg")
    return comparison_page(compared, 0.95, phantom)


def test_the_page_has_every_method_and_marks_papers(drawn: Path) -> None:
    page = page_of(drawn)
    assert page.count("Research use only, not a medical device") >= 2
    assert "digital phantoms" in page
    auc = TABLE[(TABLE["figure"] == "auc") & (TABLE["unit"] == VERTEBRAE) & (TABLE["minus"] == "")]
    for row in auc[auc["data"] == THIS_RUN].to_dict("records"):
        assert f"{row['value']:.3f}" in page
        assert f"({row['delong_low']:.3f}–{row['delong_high']:.3f})" in page
    assert "DAE − PCA" in page
    for system in set(TABLE.loc[TABLE["data"] == OTHER_DATA, "method"]):
        assert system in page
    rows = method_rows(VERTEBRAE, TABLE)
    assert [row["other"] for row in rows] == [False, False, True]
    assert page.count('<tr class="other">') == sum(TABLE["data"] == OTHER_DATA) + page.count(">other data</span>")


def test_the_page_is_one_file_and_well_formed(drawn: Path) -> None:
    page = page_of(drawn, phantom=False)
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page)
    assert "phantom" not in page
    for tag in ("table", "tr", "section", "figure"):
        assert page.count(f"<{tag}") == page.count(f"</{tag}>"), tag


def test_the_figure_has_the_same_bytes_each_time(drawn: Path, tmp_path: Path) -> None:
    for suffix in ("svg", "pdf"):
        save_figure(comparison_figure(TABLE), tmp_path / f"again.{suffix}")
        first, again = (
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (drawn / f"comparison.{suffix}", tmp_path / f"again.{suffix}")
        )
        assert first == again


def test_methods_with_too_few_cases_are_drawn_and_told_all_the_same(tmp_path: Path) -> None:
    none = {name: rows.iloc[:2].reset_index(drop=True) for name, rows in CASES.items()}
    table = comparison_table(none, EvaluationSettings(bootstrap_resamples=50), 1, 7)
    save_figure(comparison_figure(table), tmp_path / "f.svg")
    page = comparison_page(Compared(table, pd.DataFrame(left_out_table(none)), tmp_path / "f.svg"), 0.95, False)
    assert "n/a" in page
