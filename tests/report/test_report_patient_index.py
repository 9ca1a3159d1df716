"""The page of all patients: worst first, filter, sort, marks; with scripts that the page allows and no others."""

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.drawn import drawn
from helpers.needed import NO_CHROMIUM, lacking
from helpers.page import Outline
from helpers.patients import (
    CARD,
    COHORT,
    FRACTURE,
    index,
    intact,
    page,
    patient,
    patients,
    pictures,
    strips_of,
    without,
)
from vertegrade.cohort.qc import QcMark
from vertegrade.plotting import NOTICE
from vertegrade.report.patients.printing import browser, plain, print_pages

EVIL = '"><script>alert(1)</script>'


def test_it_is_well_formed_and_runs_its_own_script_alone() -> None:
    text = index()
    outline = Outline(text)
    assert outline.open == []
    assert not {"link", "iframe", "object", "img"} & {tag for tag, _ in outline.tags}
    assert not re.search(r"url\(|@import|\son\w+=|https?:", text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (policy,) = [str(meta["content"]) for meta in outline.named("meta") if meta.get("http-equiv")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'")
    assert policy.startswith("default-src 'none'")
    assert text.count(NOTICE) == 2


def test_every_patient_has_a_row_worst_first_that_leads_to_its_page() -> None:
    text = index()
    hrefs = [str(link["href"]) for link in Outline(text).named("a")]
    assert [href for href in hrefs if href.startswith("patients/")] == [f"patients/{p.id}.html" for p in patients()]
    assert "20 scans of 20 patients: 18 done, 1 excluded, 1 failed." in text
    graded = COHORT.dae["evaluable"].sum()
    assert f"{graded} of {len(COHORT.dae)} vertebrae graded" in text
    assert patients()[0].found[0][1].level in text


def test_a_planted_script_is_shown_not_run() -> None:
    first = patients()[0]
    scan = replace(first.scans[0], id=EVIL, patient=EVIL, mark=QcMark("doubt", EVIL))
    text = index([replace(first, id=EVIL, scans=(scan,))], card=CARD | {"limits": EVIL}, notes=[EVIL])
    assert text.count("<script>") == 1
    assert "<b>Mine</b>" not in text
    assert Outline(text).open == []


def test_marks_that_were_given_are_there_without_a_script() -> None:
    scan = patients()[0].scans[0].id
    text = index(patients(marks={scan: QcMark("fail", "wrong scan")}))
    assert f'data-scan="{scan}" data-image="' in text
    assert f"{scan}: fail wrong scan</span>" in text


def test_the_grade_beside_a_finding_is_that_of_the_vertebra_it_names() -> None:
    """A withheld vertebra stands before a mild one, and takes no grade from it."""
    mild = replace(FRACTURE, grade=1, severity=1.2)
    withheld = without("T9", "unlike_training", "look_at_this", "unlike_training")
    for vertebrae, grade in (((withheld, mild), None), ((withheld, FRACTURE), "3"), ((mild,), "1")):
        (cell,) = re.findall(r'<td data-head="Worst finding"[^>]*>(.*?)</td>', index([patient(*vertebrae)]))
        assert re.findall(r'class="chip"[^>]*><b>(\d)</b>', cell) == ([grade] if grade else [])
    (cell,) = re.findall(r'<td data-head="Worst finding"[^>]*>(.*?)</td>', index([patient(mild)], fracture_grade=2))
    assert cell == "No vertebral fracture in 1 evaluable vertebra, L1"
    text = page(patient(withheld, mild))
    assert text.count("T9: not evaluable by the program") == 1


def test_the_call_by_the_patient_limit_stands_beside_the_grades_and_says_where_it_differs() -> None:
    mild, healthy = replace(FRACTURE, grade=1, severity=1.2), intact("T9")
    for vertebrae, called, text in (
        (mild, False, "no fracture. This differs from the grades of the vertebrae."),
        (mild, True, "fracture."),
        (healthy, True, "fracture. This differs from the grades of the vertebrae."),
        (healthy, False, "no fracture."),
    ):
        someone = replace(patient(vertebrae), p_fracture=0.5, called=called)
        assert f"<strong>By the patient limit:</strong> {text}</p>" in page(someone)
        listed = index([someone])
        assert f'data-head="By the patient limit">{text.split(".")[0]}' in listed
        tags = str(next(row["data-tags"] for row in Outline(listed).named("tr") if "data-tags" in row))
        assert ("differs" in tags.split()) == ('<span class="doubt">differs</span>' in listed) == ("differs" in text)
        assert ("fracture" in tags.split()) == (vertebrae is mild)  # by the grades
        assert Outline(listed).open == Outline(page(someone)).open == []
        assert f"graded as a fracture; {int(called)} with a fracture by the patient limit." in listed
    assert "patient limit" not in page(patient(mild)) + index([patient(mild)]).replace("whose patient limit", "")


def test_the_call_is_that_of_the_table_and_is_silent_without_a_limit() -> None:
    assert {one.called for one in patients(patient_p_fracture=0.3, patient_fractured=1) if one.found} == {True}
    assert {one.called for one in patients(patient_p_fracture=0.3, patient_fractured=-1)} == {None}
    assert {one.called for one in patients(patient_fractured=1)} == {None}  # no rule: the worst grade called


def test_the_page_of_many_patients_is_small() -> None:
    many = [replace(one, called=bool(n % 2), p_fracture=0.5) for n, one in enumerate(patients() * 25)]
    assert len(index(many).encode()) < 1_000_000  # 500 patients; 3 MB are allowed


def test_it_says_which_model_graded_and_who_taught_it() -> None:
    text = index()
    assert "learned from digital phantoms" in text
    assert text.count(CARD["limits"]) == 2
    assert "0.98 (0.96–0.99), 444 vertebrae" in text
    assert "The model was made with other code." in text
    own = index(own=True, card=None, notes=[], phantom=True)
    assert 'href="cohort.html"' in own
    assert "nobody was scanned" in own
    other = index(card=None)
    assert "Graded by the model of another run" in other
    assert 'href="cohort.html"' not in other


def test_what_was_drawn_at_other_grades_is_told_with_figures_and_links() -> None:
    scan, vertebra = patients()[0].found[0]
    text = index(shown=pictures(strips=strips_of(scan.id, vertebra.label)))
    assert (
        "The model drew 14 vertebrae of all severities at grades 0 to 3, and what it drew was measured. 97 % of them"
        in text
    )
    assert f'href="patients/{scan.patient}.html#s0-{vertebra.name}"' in text
    assert "None: no vertebra with a grade has six measured points" in index(strips=drawn(0))
    alone = index(shown=pictures(strips=strips_of(scan.id, vertebra.label).assign(counted=False)), strips=drawn(0))
    assert f'href="patients/{scan.patient}.html#s0-{vertebra.name}"' in alone
    assert "The model drew" not in alone
    assert "None: no vertebra" not in alone


def test_no_scan_done_gives_a_page_all_the_same() -> None:
    scans = COHORT.scans.assign(state="failed", reason="broken_file")
    nobody = replace(COHORT, scans=scans, dae=COHORT.dae[:0], pca=COHORT.pca[:0])
    text = index(patients(nobody))
    assert "0 done, 0 excluded, 20 failed" in text
    assert "Not evaluable. A DICOM or NIfTI file is empty, cut short or damaged." in text


def test_a_page_is_printed_to_the_same_bytes_each_time(tmp_path: Path) -> None:
    if not browser():
        lacking(NO_CHROMIUM)
    page = tmp_path / "a.html"
    page.write_text(index(patients()[:2]), encoding="utf-8")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        assert print_pages([page], tmp_path / name) == 1
    first, second = ((tmp_path / name / "a.pdf").read_bytes() for name in ("first", "second"))
    assert first.startswith(b"%PDF")
    assert first == second


def test_names_of_elements_and_dates_are_those_of_no_print() -> None:
    one = b"/ID (node00000082) /Refs [(node00000082) (node00000007)] /CreationDate (D:20261129101112"
    two = b"/ID (node00000094) /Refs [(node00000094) (node00000019)] /CreationDate (D:20261130111213"
    same = b"/ID (node00000000) /Refs [(node00000000) (node00000001)] /CreationDate (D:20000101000000"
    assert plain(one) == plain(two) == same


def test_where_no_browser_is_installed_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"chromium, chromium-browser, .* install one, or set report\.pdf to false"):
        print_pages([tmp_path / "a.html"], tmp_path)
