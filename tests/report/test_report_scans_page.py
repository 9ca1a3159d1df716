"""The page of the scans: every scan and vertebra, why one has no grade, and which model graded; self-contained."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers.drawn import drawn
from helpers.page import Outline
from helpers.synthetic_predictions import make_cohort
from vertegrade.levels import NAMES
from vertegrade.plotting import NOTICE
from vertegrade.reasons import REASONS
from vertegrade.report import scans_page as module
from vertegrade.report.scans_page import About, pictured_scans, scans_page, side_by_side
from vertegrade.settings.report import ReportSettings
from vertegrade.vertebra_reasons import VERTEBRA_FLAGS

COHORT = make_cohort(20)
GRADES = side_by_side({"dae": COHORT.dae, "pca": COHORT.pca})
CARD: dict[str, Any] = {
    "name": "<b>Mine</b>",
    "licence": "",
    "taught_by": {"scans": "phantoms", "labels": "virtual"},
    "training": {"patients": 108, "vertebrae": 982, "fractured": 207},
    "test": {"dae": {"auc": {"value": 0.98, "low": 0.96, "high": 0.99}, "vertebrae_evaluated": 444}},
    "coverage": 0.9,
    "limits": "It has never learned from an image of a patient.",
}
STRIPS = Path(__file__).resolve().parents[2] / "docs/pictures/report.png"
ABOUT = About("models/grader", CARD, drawn(14), ["the model was made with other code"], False, "scans.csv")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def page_of(picture: Path | None = None, grades: pd.DataFrame = GRADES, about: About = ABOUT) -> str:
    done = COHORT.scans.loc[COHORT.scans["state"] == "done", "scan_id"]
    pictures = dict.fromkeys(done, picture) if picture else {}
    keys = zip(grades["scan_id"], grades["vertebra"], strict=True)
    crops = {key: np.zeros((4, 4), np.int16) for key in keys} if picture else {}
    return scans_page(COHORT.scans, grades, pictures, crops, STRIPS, about, ReportSettings())


def test_it_is_well_formed_and_loads_and_runs_nothing(picture: Path) -> None:
    page = page_of(picture)
    outline = Outline(page)
    assert outline.open == []
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in outline.tags}
    assert all(str(image["src"]).startswith("data:image/png") for image in outline.named("img"))
    assert all(image["alt"] for image in outline.named("img"))
    assert all(str(link["href"]).startswith("#") for link in outline.named("a"))
    assert not re.search(r"url\(|@import|\son\w+=|https?:", page)
    assert page.count(NOTICE) == 2
    assert "<b>Mine</b>" not in page
    assert "&lt;b&gt;Mine&lt;/b&gt;" in page


def test_every_scan_is_there_and_one_that_is_not_done_says_why_and_what_to_do() -> None:
    page = page_of()
    for scan in COHORT.scans.itertuples():
        assert page.count(f'id="{scan.scan_id}"') == 1
    out = COHORT.scans[COHORT.scans["state"] != "done"]
    assert set(out["state"]) == {"excluded", "failed"}
    for reason in out["reason"]:
        assert REASONS[reason].meaning in page
        assert REASONS[reason].remedy in page
    assert not any(message in page for message in out["message"] if message)


def test_every_vertebra_has_its_grade_interval_and_other_method_or_the_reason(picture: Path) -> None:
    outline = Outline(page_of(picture))
    crops = [image for image in outline.named("img") if image.get("class") == "crop"]
    assert len(crops) == len(GRADES)
    graded = GRADES[GRADES["evaluable"]]
    first, page = graded.iloc[0], page_of()
    interval = f"{first['severity']:.1f} ({first['severity_low']:.1f} to {first['severity_high']:.1f})"
    assert interval in page
    assert page.count('<span class="none">no grade</span>') == (~GRADES["evaluable"]).sum() > 0
    assert f"{len(graded)} of {len(GRADES)} vertebrae graded" in page


def test_levels_stand_from_head_to_feet_also_the_thirteenth_thoracic_one() -> None:
    renamed = COHORT.dae.assign(vertebra=COHORT.dae["vertebra"].replace({20: 28}))
    levels = [NAMES[label] for label in side_by_side({"dae": renamed})["vertebra"].drop_duplicates()]
    assert levels.index("T12") < levels.index("T13") < levels.index("L2")


def test_flags_are_in_words_and_explained() -> None:
    assert VERTEBRA_FLAGS["doubtful_points"] not in page_of()
    page = page_of(grades=GRADES.assign(flags="doubtful_points", label_confidence=0.5))
    assert "Doubtful points." in page
    assert "the expected error of a height" in page.lower()
    assert "about T9" in page


def test_it_says_which_model_graded_and_who_taught_it() -> None:
    page = page_of()
    assert "learned from digital phantoms" in page
    assert page.count(CARD["limits"]) == 2
    assert "0.98 (0.96–0.99), 444 vertebrae" in page
    assert "The model was made with other code." in page
    of_run = page_of(about=About("other/results", None, drawn(14), [], False, ""))
    assert "Graded by the model of the run in other/results" in of_run
    assert "nobody was scanned" in page_of(about=About("", None, drawn(14), [], True, ""))


def test_only_the_scans_of_the_highest_grades_have_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PICTURED", 3)
    chosen = pictured_scans(COHORT.scans, GRADES)
    worst = GRADES.groupby("scan_id")["severity"].max()
    assert set(worst.nlargest(3).index) == chosen
    assert "Pictures are shown for the 3 scans of the highest grades" in page_of()


def test_no_scan_done_gives_a_page_all_the_same() -> None:
    scans = COHORT.scans.assign(state="failed", reason="broken_file")
    page = scans_page(scans, GRADES[:0], {}, {}, STRIPS, ABOUT, ReportSettings())
    assert "0 done, 0 excluded, 20 failed" in page


def test_pictures_at_other_grades_stand_with_their_figures_or_the_page_says_that_there_are_none() -> None:
    page = page_of()
    assert "14 vertebrae were drawn and measured. 97 % of them" in page
    assert "SYNTHETIC shows no patient" in page
    none = page_of(about=About("models/grader", CARD, drawn(0), [], False, ""))
    assert "None: no vertebra with a grade has six measured points" in none
    assert 'class="strips"' not in none
