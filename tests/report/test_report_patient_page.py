"""The page of one patient: finding, spine, table, strips; self-contained, escaped, of all that was left out why."""

import io
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from helpers.page import Outline
from helpers.patients import CARD, COHORT, about, page, patients, pictures, placed, strips_of
from vertegrade.cohort.qc import QcMark
from vertegrade.plotting import NOTICE
from vertegrade.reasons import REASONS
from vertegrade.report.patients.pages import drawn_of, patient_page
from vertegrade.report.severities import interval_text
from vertegrade.tables import POINT_COLUMNS
from vertegrade.vertebra_reasons import VERTEBRA_FLAGS

WORST = patients()[0]
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    scan, vertebra = WORST.found[0]
    folder = tmp_path_factory.mktemp("spines")
    return page(WORST, pictures(folder, strips=strips_of(scan.id, vertebra.label)))


def test_it_is_well_formed_loads_and_runs_nothing_and_every_picture_has_words(shown: str) -> None:
    outline = Outline(shown)
    assert outline.open == []
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in outline.tags}
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in outline.named("img"))
    assert all(image["alt"] for image in outline.named("img"))
    assert all(image["aria-label"] for image in outline.named("image"))
    assert not re.search(r"url\(|@import|\son\w+=|https?:", shown)
    (policy,) = [meta["content"] for meta in outline.named("meta") if meta.get("http-equiv")]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'none'"
    assert shown.count(NOTICE) == 2


def test_landmarks_headings_and_table_headers_are_there_for_a_screen_reader(shown: str) -> None:
    outline = Outline(shown)
    assert outline.tags[0] == ("html", {"lang": "en"})
    assert [len(outline.named(tag)) for tag in ("header", "main", "footer", "nav", "h1")] == [1] * 5
    assert all(head.get("scope") for head in outline.named("th"))
    assert next(attributes["id"] for tag, attributes in outline.tags if tag == "h2") == "headline"
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {part for _, tag in outline.tags for part in str(tag.get("aria-labelledby", "")).split()}
    assert labels <= set(ids)


def test_each_vertebra_of_the_spine_leads_to_its_row_and_back(shown: str) -> None:
    outline = Outline(shown)
    links = [str(link["href"]) for link in outline.named("a") if str(link["href"]).startswith("#")]
    ids = {attributes.get("id") for _, attributes in outline.tags}
    assert {link[1:] for link in links} <= ids
    names = [vertebra.name for vertebra in WORST.scans[0].vertebrae]
    assert {f"#v0-{name}" for name in names} | {f"#p0-{name}" for name in names} <= set(links)
    assert len(outline.named("circle")) == 6 * len(names)


def test_the_points_lie_where_the_picture_shows_them(tmp_path: Path) -> None:
    scan = WORST.scans[0]
    landmarks = placed(COHORT.landmarks)
    row = landmarks[landmarks["scan_id"] == scan.id].iloc[0]
    text = patient_page(WORST, landmarks, pictures(tmp_path), about())
    # top 600 mm, front 60 mm: the anterior superior point is so far below and behind the first pixel's centre
    x, y = 60.0 - row[POINT_COLUMNS[1]], 600.0 - row[POINT_COLUMNS[2]]
    assert f'cx="{x}" cy="{y}"' in text
    assert 'transform="translate(1.5 1.5)"' in text


def test_words_of_a_vertebra_above_the_picture_stand_in_it(tmp_path: Path) -> None:
    shown, scan = pictures(tmp_path), WORST.scans[0]
    lower = replace(shown, spines={scan.id: {**shown.spines[scan.id], "top_mm": 400.0}})
    heights = re.findall(r'<text x="[\d.]+" y="([-\d.]+)">', page(WORST, lower))
    assert len(heights) == len(scan.vertebrae)
    assert min(map(float, heights)) > 5.0


def test_the_table_has_every_vertebra_worst_first_with_all_that_is_known(shown: str) -> None:
    scan, worst = WORST.found[0]
    rows = re.findall(r'<tr id="v0-(\w+)">', shown)
    assert rows == [vertebra.name for _, vertebra in WORST.found]
    first = shown[shown.index('<tr id="v0-') :].split("</tr>")[0]
    assert f"<b>{worst.grade}</b>" in first
    assert f"({interval_text(worst.severity_low, worst.severity_high)})" in first
    assert f"{worst.p_fracture:.2f}" in first
    assert f"{worst.heights[0].mm:.1f} <span>−{round(100 * worst.heights[0].loss)} %</span>" in first
    assert f"PCA {worst.others['pca'][0]}" in first
    assert 'class="crop"' in first
    assert scan.id in shown


def test_suspicious_vertebrae_are_shown_at_other_grades_with_heights_and_marked_synthetic(shown: str) -> None:
    strip = shown[shown.index('<ol class="strip">') :]
    strip = strip[: strip.index("</ol>")]
    assert strip.count("<li>") == 6
    assert strip.count('alt="SYNTHETIC image of') == 5
    assert strip.count('alt="CT of') == 1
    assert "22 / 21 / 23 mm" in strip  # 28, 27 and 29 mm less 22 %
    assert strip.count("misses its grade") == 1
    assert "asked: 22 / 21 / 23 mm, severity 1.0" in strip
    intact = next(v for scan, v in WORST.found if v.grade == 0)
    assert 'class="strip"' not in page(WORST, pictures(strips=strips_of(WORST.scans[0].id, intact.label)))


def test_above_a_strip_stand_in_words_what_stayed_and_a_link_to_the_animation(shown: str) -> None:
    scan, vertebra = WORST.found[0]
    caption = shown[shown.index(f'<figure id="s0-{vertebra.name}">') :].split("</figcaption>")[0]
    assert f'href="{scan.id}_{vertebra.name}.png"' in caption
    assert "9 % of what changes lies outside of the body. The model&#39;s copy differs from the CT by 35 HU." in caption
    assert "Asked back, 4 of 4 pictures become this vertebra again and not another;" in caption
    assert "they differ from the copy by 33 HU. The strangest picture is further from all training vertebrae" in caption
    assert "than 100 % of these are from the next one: the more, the more it is a guess." in caption
    table = strips_of(scan.id, vertebra.label)
    unknown = page(WORST, pictures(strips=table.assign(nearest_training=math.nan, returns=[True, True, False, False])))
    assert "2 of 4 pictures become" in unknown
    assert "How near training vertebrae come is not known here." in unknown


def test_the_animation_is_of_the_drawn_pictures_of_this_vertebra() -> None:
    scan, vertebra = WORST.found[0]
    its = pictures(strips=strips_of(scan.id, vertebra.label))
    assert [(of.id, n, found.name) for of, n, found in drawn_of([WORST], its)] == [(WORST.id, 0, vertebra.name)]
    with Image.open(io.BytesIO(its.film(scan.id, vertebra.label))) as film:
        assert film.n_frames == 6


def test_a_suspicious_vertebra_without_pictures_is_named(shown: str) -> None:
    _, *others = [vertebra.level for _, vertebra in WORST.found if vertebra.suspicious]
    assert ("Not drawn at other grades: " in shown) == bool(others)
    first, *rest = [vertebra.level for _, vertebra in WORST.found if vertebra.suspicious]
    assert f"Not drawn at other grades: {', '.join([first, *rest])}." in page(WORST)
    healthy = next(one for one in patients() if one.graded and not any(v.suspicious for _, v in one.found))
    assert "Not drawn at other grades" not in page(healthy)


def test_a_planted_script_is_shown_not_run() -> None:
    scan = WORST.scans[0]
    planted = {**vars(scan), "id": EVIL, "patient": EVIL, "mark": QcMark("doubt", EVIL)}
    someone = type(WORST)(EVIL, (type(scan)(**planted),), WORST.p_fracture)
    text = page(someone, recommendation=EVIL, card=CARD | {"limits": EVIL})
    assert "<script" not in text
    assert "<b>Mine</b>" not in text
    assert text.count("&lt;script&gt;") > 5
    assert Outline(text).open == []


def test_a_scan_that_was_left_out_says_why_and_what_to_do_but_not_its_message() -> None:
    for patient in patients()[-2:]:
        scan = patient.scans[0]
        text = page(patient)
        assert REASONS[scan.reason].meaning in text
        assert REASONS[scan.reason].remedy in text
        assert f"<strong>{scan.state.capitalize()}.</strong>" in text


def test_flags_are_in_words_and_explained_and_question_the_finding() -> None:
    assert "Doubtful:" not in page(WORST)
    flagged = patients(flags="doubtful_points uncertain_level", label_confidence=0.5)[0]
    text = page(flagged)
    assert "Doubtful: doubtful points." in text
    for flag in ("doubtful_points", "uncertain_level"):
        assert VERTEBRA_FLAGS[flag].replace("`", "").replace("'", "&#39;") in text
    assert f"about {flagged.found[0][1].name}" in text


def test_a_doubt_of_quality_control_stands_beside_the_finding() -> None:
    scan = WORST.scans[0].id
    doubted = patients(flags="qc_doubt", marks={scan: QcMark("doubt", "levels?")})[0]
    text = page(doubted)
    assert "Doubtful: qc doubt." in text
    assert "<strong>Quality control:</strong> doubt (levels?)" in text


def test_a_recommendation_is_given_for_a_fracture_alone_and_only_where_it_is_set() -> None:
    healthy = next(patient for patient in patients() if patient.graded and not patient.fractured(1))
    advice = "Please assess bone density."
    assert advice in page(WORST, recommendation=advice)
    assert advice not in page(healthy, recommendation=advice)
    assert "Recommendation" not in page(WORST)
    assert "No vertebral fracture in" in page(healthy)


def test_a_page_is_small_enough_to_be_mailed(shown: str) -> None:
    assert len(shown.encode()) < 5e6
