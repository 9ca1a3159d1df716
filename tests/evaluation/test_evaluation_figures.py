"""Figures: drawn for any data, the same bytes each time, with the notice."""

import pytest
from matplotlib.figure import Figure

from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation.cases import labelled_cases, split_cases
from vertegrade.evaluation.evaluate import evaluate
from vertegrade.evaluation.figures import all_figures, roc_figure
from vertegrade.evaluation.texts import estimate_text
from vertegrade.methods import METHODS
from vertegrade.plotting import NOTICE, save_figure
from vertegrade.settings.evaluation import EvaluationSettings


def _figures(labelled: bool = True) -> dict[str, Figure]:
    cohort = make_cohort(20)
    labels = cohort.labels if labelled else cohort.labels.iloc[:0]
    tables = cohort.tables(labels=labels)
    settings = EvaluationSettings(bootstrap_resamples=20)
    methods = {"dae": cohort.dae, "pca": cohort.pca}
    metrics = {name: evaluate(table, tables, settings, 1, 7, name) for name, table in methods.items()}
    cases = {name: split_cases(labelled_cases(table, tables), "test") for name, table in methods.items()}
    return all_figures(cases, metrics)


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_data_gives_the_same_bytes(tmp_path, suffix):
    for run in ("a", "b"):
        save_figure(_figures()["roc"], tmp_path / f"{run}.{suffix}")
    written = [(tmp_path / f"{run}.{suffix}").read_bytes() for run in ("a", "b")]
    assert written[0] == written[1]
    assert b"<dc:date>" not in written[0]
    assert b"Software" not in written[0]


@pytest.mark.parametrize("labelled", [True, False])
def test_every_figure_is_drawn_and_says_what_it_is_not_for(tmp_path, labelled):
    figures = _figures(labelled)
    assert sorted(figures) == ["calibration", "confusion", "height_loss", "levels", "pr", "roc"]
    for name, figure in figures.items():
        save_figure(figure, tmp_path / f"{name}.png")
        assert NOTICE in [text.get_text() for text in figure.texts]


def test_without_labels_the_roc_says_so_instead_of_an_empty_frame():
    assert "too few" in " ".join(text.get_text() for text in _figures(labelled=False)["roc"].axes[0].texts)


def test_no_two_methods_look_alike() -> None:
    cohort, settings = make_cohort(20), EvaluationSettings(bootstrap_resamples=20)
    metrics = evaluate(cohort.dae, cohort.tables(), settings, 1, 7, "dae")
    cases = split_cases(labelled_cases(cohort.dae, cohort.tables()), "test")
    lines = roc_figure(dict.fromkeys(METHODS, cases), dict.fromkeys(METHODS, metrics)).axes[0].lines[:-1]
    curves = {(line.get_color(), line.get_linestyle()) for line in lines[::2]}
    points = {(line.get_color(), line.get_marker()) for line in lines[1::2]}
    assert len(curves) == len(points) == len(METHODS)
    assert {colour for colour, _ in curves} == {colour for colour, _ in points}


def test_the_legend_names_the_auc_with_its_interval():
    legend = _figures()["roc"].axes[0].get_legend().get_texts()
    assert [text.get_text().split(":")[0] for text in legend] == ["DAE", "PCA"]
    assert "(" in legend[0].get_text()


def test_an_estimate_reads_with_its_interval_or_says_that_it_is_undefined():
    assert estimate_text({"value": 0.95, "low": 0.921, "high": 0.97}) == "0.95 (0.92–0.97)"
    assert estimate_text({"value": -0.5, "low": -1.0, "high": 0.1}) == "−0.50 (−1.00 to 0.10)"
    assert estimate_text({"value": 1.0, "low": None, "high": None}) == "1.00"
    assert estimate_text({"value": None, "low": None, "high": None}) == "n/a"
