"""What the cohort's page tells of pictures at other grades, and of their plain rival."""

from pathlib import Path
from typing import Any

from helpers.drawn import drawn, rivals
from helpers.page import Outline
from helpers.patients import pictures, strips_of
from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation.evaluate import evaluate
from vertegrade.grading.grades import grade_table
from vertegrade.levels import NAMES
from vertegrade.report.cohort_page import Vertebrae, cohort_page
from vertegrade.report.flow import cohort_flow
from vertegrade.report.links import PatientLinks
from vertegrade.report.tiles import Graded, strip_tiles
from vertegrade.settings.evaluation import EvaluationSettings

COHORT = make_cohort(20)
TABLES = COHORT.tables()
METRICS = {"dae": evaluate(COHORT.dae, TABLES, EvaluationSettings(bootstrap_resamples=20), 1, 7, "dae")}


def page(tmp_path: Path, **more: Any) -> str:
    flow = cohort_flow([s for s, _ in COHORT.sheet], COHORT.scans, COHORT.landmarks, TABLES, COHORT.dae)
    figures = {name: tmp_path / f"{name}.png" for name in ("counterfactuals", "rivals")}
    for path in figures.values():
        path.write_bytes(b"png")
    return cohort_page(METRICS, flow, figures, {}, **more)


def test_the_pictures_stand_with_what_was_measured_and_with_their_rival(tmp_path: Path) -> None:
    html = page(tmp_path, counterfactuals=drawn(60), rivals=rivals())
    assert Outline(html).open == []
    assert "60 test vertebrae, 97 % of them with losses in the order" in html
    assert '<th scope="row">Grade 3</th>' in html
    assert "48 %" in html
    assert "2.6" in html  # asked 2.8, given 0.2 less
    assert "(0.59–0.63)" in html
    assert "look less like CT" in html


def test_without_pictures_the_page_says_why_and_shows_no_rival(tmp_path: Path) -> None:
    html = page(tmp_path, counterfactuals=drawn(0), rivals=rivals())
    assert Outline(html).open == []
    assert "No picture could be made" in html
    assert "Beside a plain warp" not in html


def test_each_strip_says_what_stayed_and_leads_to_its_animation(tmp_path: Path) -> None:
    grades = grade_table({"dae": COHORT.dae})
    of = Graded({"dae": COHORT.dae}, COHORT.labels, grades, PatientLinks(COHORT.scans), pictures())
    row = of.rows("dae").iloc[0]
    tiles = strip_tiles(strips_of(row["scan_id"], row["vertebra"]), of, 6)
    html = page(tmp_path, counterfactuals=drawn(60), rivals=rivals(), vertebrae=Vertebrae((), (), tiles))
    assert Outline(html).open == []
    assert f'href="counterfactuals/{row["scan_id"]}_{NAMES[row["vertebra"]]}.png"' in html
    assert "9 % of what changes lies outside of the body." in html
