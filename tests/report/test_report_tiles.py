"""Tiles of single vertebrae: the right errors in the right order, and links that lead to a row of a patient's page."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.drawn import drawn
from helpers.page import Outline
from helpers.patients import COHORT, page, patients, pictures, strips_of
from vertegrade.drawn_tables import COUNTERFACTUALS
from vertegrade.evaluation.evaluate import evaluate
from vertegrade.grading.grades import grade_table
from vertegrade.levels import NAMES
from vertegrade.report.cohort_page import Vertebrae, cohort_page
from vertegrade.report.flow import cohort_flow
from vertegrade.report.links import PatientLinks
from vertegrade.report.severities import interval_text, severity_text
from vertegrade.report.spread import spread_by_severity
from vertegrade.report.tiles import MOST, Graded, errors, galleries, montage_tiles, strip_tiles
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import empty_table

# The noisier one of both is the method that makes errors here.
NOISY, OTHER = COHORT.pca.assign(method="dae"), COHORT.dae.assign(method="pca")
PREDICTIONS = {"dae": NOISY, "pca": OTHER}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    crops = pictures(tmp_path_factory.mktemp("spines"))
    return Graded(PREDICTIONS, COHORT.labels, grade_table(PREDICTIONS), PatientLinks(COHORT.scans), crops)


def test_missed_fractures_and_false_alarms_are_apart_and_worst_first(graded: Graded) -> None:
    rows = graded.rows("dae")
    found = errors(rows, 1)
    missed, alarms = found["Missed fractures"], found["False alarms"]
    assert len(missed)
    assert len(alarms)
    assert (missed["genant_grade"] >= 1).all()
    assert (missed["grade"] == 0).all()
    assert (alarms["genant_grade"] == 0).all()
    assert (alarms["grade"] >= 1).all()
    known = rows[rows["genant_grade"].notna()]
    wrong = (known["genant_grade"] >= 1) != (known["grade"] >= 1)
    assert len(missed) + len(alarms) == wrong.sum()
    for kind in found.values():
        assert (kind["severity"] - kind["genant_grade"]).abs().is_monotonic_decreasing


def test_only_test_vertebrae_with_a_grade_and_a_usable_label_are_errors(graded: Graded) -> None:
    rows = graded.rows("dae")
    assert rows["evaluable"].all()
    assert set(rows["split"]) == {"test"}
    usable = set(COHORT.labels.loc[COHORT.labels["usable"], ["scan_id", "vertebra"]].itertuples(index=False, name=None))
    for kind in errors(rows, 1).values():
        assert set(kind[["scan_id", "vertebra"]].itertuples(index=False, name=None)) <= usable


def test_a_fracture_from_grade_2_on_changes_what_is_missed(graded: Graded) -> None:
    assert (errors(graded.rows("dae"), 2)["Missed fractures"]["genant_grade"] >= 2).all()
    assert (errors(graded.rows("dae"), 2)["False alarms"]["genant_grade"] <= 1).any()


def test_a_gallery_is_of_each_method_but_the_baseline_and_shows_at_most_a_dozen(graded: Graded) -> None:
    noisy = NOISY.assign(grade=np.where(NOISY["evaluable"], 3 - NOISY["grade"], -1))
    wrong = Graded(PREDICTIONS | {"dae": noisy}, graded.labels, graded.grades, graded.links, graded.pictures)
    (gallery,) = galleries(wrong, 1)
    assert gallery["method"] == "DAE"
    alarms = gallery["kinds"][1]
    assert alarms["count"] > MOST == len(alarms["tiles"]) == 12
    intact = int((wrong.rows("dae")["genant_grade"] == 0).sum())
    assert alarms["among"] == f"{intact} graded vertebrae without one"


def test_no_error_among_none_is_told_from_no_error_at_all(graded: Graded) -> None:
    unread = Graded(PREDICTIONS, graded.labels.iloc[:0], graded.grades, graded.links, graded.pictures)
    (gallery,) = galleries(unread, 1)
    assert [kind["among"].split()[0] for kind in gallery["kinds"]] == ["0", "0"]


def test_a_tile_says_what_is_true_what_was_said_and_what_others_say(graded: Graded) -> None:
    rows = graded.rows("dae")
    row = errors(rows, 1)["Missed fractures"].iloc[0]
    tile = galleries(graded, 1)[0]["kinds"][0]["tiles"][0]
    other = OTHER[(OTHER["scan_id"] == row["scan_id"]) & (OTHER["vertebra"] == row["vertebra"])].iloc[0]
    assert tile["scan"] == row["scan_id"]
    assert tile["level"] == NAMES[row["vertebra"]]
    assert tile["truth"] == f"grade {row['genant_grade']:.0f} {row['shape']}"
    assert tile["severity"] == severity_text(row["severity"])
    assert tile["interval"] == interval_text(row["severity_low"], row["severity_high"])
    assert tile["others"] == [("PCA", f"grade {other['grade']} (severity {severity_text(other['severity'])})")]
    assert tile["picture"].startswith("data:image/png;base64,")


def test_what_another_method_did_not_grade_has_the_reason_in_plain_words(graded: Graded) -> None:
    silent = OTHER.assign(evaluable=False, reason="outside_scan")
    of = Graded({"dae": NOISY, "pca": silent}, graded.labels, graded.grades, graded.links, graded.pictures)
    said = galleries(of, 1)[0]["kinds"][0]["tiles"][0]["others"][0][1]
    assert said.startswith("no grade. ")
    assert "outside_scan" not in said


def test_each_link_leads_to_a_row_of_the_page_of_that_patient(graded: Graded, tmp_path: Path) -> None:
    shown = [*galleries(graded, 1)[0]["kinds"][0]["tiles"], *montage_tiles(graded, 10)]
    pages = {patient.id: page(patient, pictures(tmp_path)) for patient in patients()}
    for tile in shown:
        folder, _, rest = tile["href"].partition("/")
        name, _, anchor = rest.partition(".html#")
        assert folder == "patients"
        assert f'id="{anchor}"' in pages[name], tile["href"]
        assert anchor.endswith(f"-{tile['level'].removeprefix('about ')}")


def test_a_second_scan_of_a_patient_has_a_place_of_its_own() -> None:
    scans = COHORT.scans.head(2).assign(patient_id="P", scan_id=["b", "a"])
    links = PatientLinks(scans)
    assert links.vertebra("a", 20) == "patients/P.html#v0-L1"
    assert links.vertebra("b", 19) == "patients/P.html#v1-T12"


def test_the_tiles_of_montage_and_strips_are_those_of_their_pictures(graded: Graded) -> None:
    chosen = spread_by_severity(NOISY, 10)
    assert [(tile["scan"], tile["severity"]) for tile in montage_tiles(graded, 10)] == [
        (row.scan_id, severity_text(row.severity)) for row in chosen.itertuples()
    ]
    assert strip_tiles(empty_table(COUNTERFACTUALS), graded, 6) == []
    rows = graded.rows("dae").head(3)
    drawn = pd.concat([strips_of(row.scan_id, row.vertebra).assign(row=n) for n, row in enumerate(rows.itertuples())])
    shown = strip_tiles(drawn, graded, 2)
    assert len(shown) == 2
    for tile in shown:
        level = tile["level"].removeprefix("about ")
        assert tile["film"] == f"counterfactuals/{tile['scan']}_{level}.png"
        assert tile["words"].startswith("9 % of what changes lies outside of the body.")
    assert len(strip_tiles(drawn.assign(counted=drawn["row"] < 1), graded, 2)) == 1


def test_the_page_shows_every_tile_with_words_and_a_link_and_says_that_nothing_was_chosen(graded: Graded) -> None:
    tables, settings = COHORT.tables(), EvaluationSettings(bootstrap_resamples=20)
    metrics = {"dae": evaluate(COHORT.dae, tables, settings, 1, 7, "dae")}
    flow = cohort_flow([scan for scan, _ in COHORT.sheet], COHORT.scans, COHORT.landmarks, tables, COHORT.dae)
    of = Vertebrae(galleries(graded, 1), montage_tiles(graded, 10), ())
    html = cohort_page(metrics, flow, {}, {}, counterfactuals=drawn(0), vertebrae=of)
    outline = Outline(html)
    assert outline.open == []
    images = outline.named("img")
    kinds = of.galleries[0]["kinds"]
    assert len(images) == 10 + sum(len(kind["tiles"]) for kind in kinds)
    assert all(str(image["alt"]).startswith("CT of ") for image in images)
    links = [str(link["href"]) for link in outline.named("a")]
    assert {tile["href"] for kind in kinds for tile in kind["tiles"]} <= set(links)
    assert "made of test vertebrae after all choices" in html
    assert html.count("Missed fractures by DAE") == 1
    assert f", among {kinds[0]['among']}</h3>" in html
