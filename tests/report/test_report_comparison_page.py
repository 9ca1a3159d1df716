"""The page and the figure of the comparison: each number of the table, papers apart, the same bytes each time."""

import hashlib
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from helpers.comparison_page import (
    CASES,
    COHORT,
    COST,
    GROUPS,
    LEARNING,
    SETTINGS,
    TABLE,
    draw,
    page_of,
    with_seq2seq,
)
from vertegrade.evaluation.comparison.cases import cases_of, left_out_table
from vertegrade.evaluation.comparison.figure import comparison_figure, mark_of
from vertegrade.evaluation.comparison.measures import comparison_table
from vertegrade.evaluation.comparison.tables import (
    LEARNING_CURVE,
    OTHER_DATA,
    PATIENTS,
    THIS_RUN,
    VERTEBRAE,
    WHOLE_SCAN,
)
from vertegrade.methods import METHODS
from vertegrade.plotting import save_figure
from vertegrade.report.comparison.beside import cost_rows
from vertegrade.report.comparison.page import Compared, comparison_page
from vertegrade.report.comparison.rows import method_rows, pair_rows, unread_text
from vertegrade.tables import empty_table

NO_LEARNING = empty_table(LEARNING_CURVE)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figure")
    draw(folder, "svg", "pdf")
    return folder


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


def test_the_page_says_which_patients_set_the_thresholds(drawn: Path) -> None:
    assert "at thresholds that were fixed on training patients. " in page_of(drawn)  # of DAE and PCA
    learned = {name: COHORT.pca.assign(method=name) for name in ("supervised", "supcon")}
    cases = cases_of({"dae": COHORT.dae, **learned}, COHORT.tables())
    table, no_groups = comparison_table(cases, SETTINGS, 1, 7), GROUPS.iloc[:0]
    of = Compared(table, left_out_table(cases), NO_LEARNING, no_groups, COST, {}, drawn / "comparison.svg")
    text = "at thresholds that were fixed on training patients, of Supervised, SupCon on validation patients"
    assert text in comparison_page(of, 0.95, False)


def test_cost_is_per_scan_and_virtual_fractures_are_called_so(drawn: Path) -> None:
    page = page_of(drawn)
    (row,) = cost_rows(COST)
    assert row["cells"] == ["10.0", "0.0", "900", "2.50", "12.50", "0.00", "700"]
    assert "16 virtual fractures and 30 intact vertebrae of 1 patient." in page
    assert "VIRTUAL fractures: made by a program" in page
    assert "losses of 25 % and more" in page
    assert "0.924" in page
    assert "old: graded by another model" in page


def test_curves_are_means_of_draws_and_say_what_was_not_fitted(drawn: Path) -> None:
    page = page_of(drawn)
    assert 'class="number">0.495 <span class="keep">(0.490–0.500)' in page
    assert "Not fitted: PCA, 50 % (1 draws): fitting needs at least 2 patients" in page


def test_false_alarms_are_counted_by_finding(drawn: Path) -> None:
    alarms = GROUPS[(GROUPS["kind"] == "finding") & (GROUPS["group"] == "short") & (GROUPS["method"] == "dae")].iloc[0]
    assert f"{alarms['hits']:.0f} of {alarms['n']}: " in page_of(drawn)
    assert "Schmorl&#39;s node" in page_of(drawn)
    assert "Test phantoms." in matplotlib_text(comparison_figure(TABLE, LEARNING, GROUPS, "phantoms"))


def test_whole_scans_of_seq2seq_stand_among_the_patients_and_nowhere_else(tmp_path: Path) -> None:
    compared = with_seq2seq(tmp_path)
    page, name = comparison_page(compared, 0.95, True), "Seq2seq, whole scan"
    table = compared.comparison
    auc = table[(table["method"] == WHOLE_SCAN) & (table["figure"] == "auc") & (table["minus"] == "")].iloc[0]
    (row,) = [row for row in method_rows(PATIENTS, table) if row["name"] == name]
    assert row["cells"][0].startswith(f"{auc['value']:.3f}")
    assert [row["name"] for row in pair_rows(PATIENTS, table)][2:] == [
        f"DAE − {name}", "PCA − Seq2seq", f"PCA − {name}", f"Seq2seq − {name}"
    ]  # fmt: skip
    assert name not in str([*method_rows(VERTEBRAE, table), *pair_rows(VERTEBRAE, table)])
    assert page.count(f'<th scope="row">{name}</th>') == 1
    assert f"<em>{name}</em> is what the networks say of the whole scan" in page
    assert "<em>Seq2seq" not in page_of_two(tmp_path)
    panels = comparison_figure(table, LEARNING, compared.groups, "phantoms").axes[:6]
    drawn = [axes.get_title(loc="left") for axes in panels if name in [t.get_text() for t in axes.get_yticklabels()]]
    assert drawn == ["AUC, patients"]
    assert all(text.get_window_extent().x0 > 0 for axes in panels for text in axes.get_yticklabels())  # not cut off


def page_of_two(folder: Path) -> str:
    """The page without seq2seq."""
    draw(folder, "svg")
    return page_of(folder)


def test_scans_that_seq2seq_could_not_evaluate_are_told_with_their_reasons(tmp_path: Path) -> None:
    counts = {
        "test": {"scans": 9, "not_evaluable": {"no_canal": 1}},
        "train": {"scans": 20, "not_evaluable": {"no_canal": 2, "spine_outside_scan": 1}},
    }
    assert unread_text(counts) == (
        "Seq2seq could evaluate 25 of 29 scans of all splits, and not: no canal (3), spine outside scan (1)."
    )
    assert unread_text({"test": counts["test"] | {"not_evaluable": {}}}).endswith(
        "evaluate 9 of 9 scans of all splits."
    )
    page = comparison_page(with_seq2seq(tmp_path), 0.95, True)
    assert "Seq2seq could evaluate 27 of 28 scans of all splits, and not: no canal (1)." in page
    assert "could evaluate" not in page_of_two(tmp_path)


def matplotlib_text(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def test_the_page_is_one_file_and_well_formed(drawn: Path) -> None:
    page = page_of(drawn, phantom=False)
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page)
    assert "phantom" not in page
    for tag in ("table", "tr", "section", "figure"):
        assert page.count(f"<{tag}") == page.count(f"</{tag}>"), tag


def test_methods_differ_in_marker_and_all_that_exist_in_colour_too() -> None:
    """In grey print the marker alone says which method it is; there is room for one method more."""
    marks = [mark_of(place) for place in range(len(METHODS) + 1)]
    assert len({mark["marker"] for mark in marks}) == len(METHODS) + 1
    assert len({mark["color"] for mark in marks[:-1]}) == len(METHODS)


def test_the_figure_has_the_same_bytes_each_time(drawn: Path, tmp_path: Path) -> None:
    draw(tmp_path, "svg", "pdf")
    for suffix in ("svg", "pdf"):
        first, again = (
            hashlib.sha256((folder / f"comparison.{suffix}").read_bytes()).hexdigest() for folder in (drawn, tmp_path)
        )
        assert first == again


def test_methods_with_too_few_cases_are_drawn_and_told_all_the_same(tmp_path: Path) -> None:
    none = {name: rows.iloc[:2].reset_index(drop=True) for name, rows in CASES.items()}
    table, none_of_them = comparison_table(none, SETTINGS, 1, 7), GROUPS.iloc[:0]
    save_figure(comparison_figure(table, NO_LEARNING, none_of_them, "patients"), tmp_path / "f.svg")
    page = comparison_page(
        Compared(table, left_out_table(none), NO_LEARNING, none_of_them, COST, {}, tmp_path / "f.svg"), 0.95, False
    )
    assert "n/a" in page
    assert "No curves" in page
