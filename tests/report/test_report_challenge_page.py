"""The page of the challenge says what was found, what it is made of, and what it does not show."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from helpers.challenge_page import SETTINGS, STATES, page_of, rows
from helpers.synthetic_crops import make_crops
from helpers.virtual import case, cases_of
from vertegrade.evaluation.challenge.measures import challenge_measures
from vertegrade.plotting import NOTICE
from vertegrade.report.challenge.figures import all_figures
from vertegrade.report.challenge.page import VIRTUAL_NOTICE, limit_text
from vertegrade.report.challenge.pictures import chosen_examples, picture
from vertegrade.settings.report import ReportSettings


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(rows(), tmp_path_factory.mktemp("page"))


def test_the_page_says_on_top_from_which_loss_on_each_shape_is_noticed(page: str) -> None:
    sentence = re.search(r"On your scans, DAE notices [^<]+", page)
    assert sentence
    found = re.findall(r"a ([\w ]+) from about (\d+) % loss on", sentence[0])
    assert [name for name, _ in found] == ["wedge", "biconcave", "crush", "fracture of any shape"]
    assert all(27 <= int(loss) <= 36 for _, loss in found)
    assert "Of 36 intact vertebrae, 0 % are graded as fractured." in sentence[0]
    assert page.index(sentence[0]) < page.index("What was tested</h2>")


def test_what_cannot_be_told_and_many_false_alarms_stand_beside_it(tmp_path: Path) -> None:
    made = [row for row in rows() if row["shape"] != "crush" or row["height_loss"] < 0.1]
    made = [row | {"severity": 2.0, "grade": 2} if row["kind"] == "sham" else row for row in made]
    made = [row | {"severity": 0.1, "grade": 0} if row["shape"] == "biconcave" else row for row in made]
    text = page_of(made, tmp_path)
    assert "Not reliably even at 60 % loss: biconcave" in text
    assert "Too few to tell: crush (4)." in text
    assert "are graded as fractured; with so many false alarms, look at the figures at 95 % specificity." in text


def test_a_limit_that_small_losses_contradict_is_not_claimed(tmp_path: Path) -> None:
    made = [row | {"grade": 1 if row["kind"] == "fracture" and row["height_loss"] < 0.3 else 0} for row in rows()]
    text = page_of(made, tmp_path)
    assert "DAE notices no loss reliably." in text
    assert "Small losses are noticed as often as large ones: wedge, biconcave, crush, fracture of any shape." in text


def test_novelty_is_shown_where_the_methods_tell_it(page: str, tmp_path: Path) -> None:
    assert "DAE: unlike training" not in page
    told = page_of(rows(3, novelty=0.5), tmp_path)
    assert "DAE: unlike training" in told
    assert "severity is taken for novelty" in told


def test_virtual_and_research_only_stand_on_top_and_at_the_end(page: str) -> None:
    for words in (VIRTUAL_NOTICE, NOTICE):
        assert page.count(words) >= 2
        assert page.index(words) < page.index("<h1>")


def test_the_page_loads_nothing(page: str) -> None:
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "http" not in re.sub(r'data:[^"]+', "", page)


def test_a_page_of_two_patients_says_that_there_is_no_interval(page: str, tmp_path: Path) -> None:
    words = "There are fewer than 3 patients, so there is no interval."
    assert words in page_of(rows(2), tmp_path)
    assert words not in page


def test_what_the_run_was_stands_on_the_page(page: str, tmp_path: Path) -> None:
    told = page_of(rows(1), tmp_path, {"phantom": True, "given": True, "taught": True})
    for words in ("digital phantoms", "Vertebrae were not localized again", "learned their grades from virtual"):
        assert words in told
        assert words not in page
    assert "On these phantoms, DAE" in told


def test_names_of_scanners_are_shown_and_not_run(tmp_path: Path) -> None:
    assert "&lt;b&gt;GE, BONE" in page_of(rows(1, scanner="<b>GE, BONE, > 3 mm"), tmp_path)


def test_a_cohort_without_virtual_fractures_has_a_page(tmp_path: Path) -> None:
    text = page_of([case("sham")], tmp_path)
    assert "it cannot be told from which loss on DAE notices a fracture." in text
    assert "No virtual fracture." in text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ((0.27, 0.22, 0.33), "27 % (22–33)"),
        ((0.27, None, None), "27 %"),
        ((0.55, 0.4, 0.9), "55 % (40–over 60)"),
        ((1.0, 0.5, 1.0), "not up to 60 %"),
        ((None, None, None), "n/a"),
    ],
)
def test_losses_beyond_those_that_were_made_are_not_claimed(cell: tuple[Any, ...], text: str) -> None:
    assert limit_text(dict(zip(("value", "low", "high"), cell, strict=True))) == text


def words_of(figure: Figure) -> str:
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    return " ".join(text.get_text() for text in texts)


def test_every_figure_says_that_fractures_are_virtual() -> None:
    cases = cases_of(rows(1))
    numbers = challenge_measures({"dae": cases}, STATES, SETTINGS, 1, 1)
    for figure in all_figures(numbers, cases).values():
        assert f"VIRTUAL fractures. {NOTICE}" in words_of(figure)


def test_examples_are_spread_over_shapes_losses_and_patients() -> None:
    chosen = chosen_examples(cases_of(rows()))
    first = pd.concat([example.iloc[:1] for example in chosen])
    assert first["shape"].value_counts().to_dict() == {"wedge": 4, "biconcave": 4, "crush": 4, "": 2}
    losses = first.loc[first["shape"] == "wedge", "height_loss"].to_numpy()
    assert np.abs(losses - [0.10, 0.22, 0.32, 0.50]).max() < 0.05
    assert first["patient_id"].nunique() == 4
    assert not first.duplicated(["scan_id", "vertebra"]).any()


def test_each_example_has_the_answers_of_all_methods() -> None:
    table = cases_of(rows(1))
    both = pd.concat([table, table.assign(method="keypoints")], ignore_index=True)
    assert {tuple(example["method"]) for example in chosen_examples(both)} == {("dae", "keypoints")}


def test_a_vertebra_without_a_crop_still_has_a_picture() -> None:
    assert picture(None, make_crops([1.0])[0], ReportSettings()).startswith("data:image/png;base64,")
