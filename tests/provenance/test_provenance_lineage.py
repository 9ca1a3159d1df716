"""The lineage page shows texts that people wrote as texts."""

import copy
import html
from pathlib import Path

import pandas as pd
import pytest

from provenance.small_run import PARAMS, write_job, write_run
from vertegrade.ct.reasons import FLAGS, VERTEBRA_FLAGS
from vertegrade.evaluation.run_facts import job_manifests, run_facts
from vertegrade.files import file_hashes
from vertegrade.manifest import read_manifests
from vertegrade.provenance.lineage import lineage_page, lineage_table, paths_by_scan, steps_behind

HOSTILE = "<script>alert('x')</script>"
GRADE = {"scan_id": "a", "vertebra": 20, "method": "dae", "evaluable": False, "reason": HOSTILE, "flags": ""}


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run()


def test_texts_of_users_are_escaped() -> None:
    scan = Path("scans/<b>a&b</b>.dcm")
    scan.parent.mkdir(parents=True)
    scan.write_text("slice")
    row = {
        "scan_id": "a",
        "patient_id": HOSTILE,
        "path": str(scan),
        "mask": "",
        "centroids": "",
        "fingerprint": HOSTILE,
    }
    params = copy.deepcopy(PARAMS) | {"rows": [row]}
    more = {"params": params, "host": HOSTILE, "versions": {HOSTILE: HOSTILE}, "code": {HOSTILE: HOSTILE}}
    write_job("convert", {"shard": "0"}, [str(scan)], ["results/ct/0"], **more)
    steps = steps_behind(file_hashes(["results/crops"]), list(read_manifests("results")), "0")
    table = lineage_table(steps, "a", paths_by_scan([row]))
    page = lineage_page(pd.DataFrame([GRADE]), steps, table, "L1")
    assert "<script" not in page
    assert "<b>" not in page
    # reason of the grade, host, package, code, patient and fingerprint; names and values
    assert page.count("&lt;script&gt;alert(") == 8
    assert "scans/&lt;b&gt;a&amp;b&lt;/b&gt;.dcm" in page


def shown_flags(page: str) -> set[str]:
    return {flag for flag, meaning in FLAGS.items() if f">{flag}</th><td>{meaning}</td>" in page}


def test_flags_of_the_scan_are_told_in_plain_words() -> None:
    rows = pd.DataFrame([GRADE, GRADE | {"flags": "resampled_tilt thick_slices"}])
    page = lineage_page(rows, [], lineage_table([], "a", {}), "L1")
    assert shown_flags(page) == {"resampled_tilt", "thick_slices"}
    assert "no flag" not in page


def test_an_uncertain_level_and_doubtful_points_are_told() -> None:  # field test A11
    rows = pd.DataFrame([GRADE | {"flags": "doubtful_points uncertain_level", "label_confidence": 0.41}])
    page = lineage_page(rows, [], lineage_table([], "a", {}), "L1")
    assert "Where the grade of a, about L1 comes from" in page
    assert "a probability of 0.41" in page
    assert VERTEBRA_FLAGS["doubtful_points"] in html.unescape(page)
    assert "Where the grade of a L1 comes from" in lineage_page(
        pd.DataFrame([GRADE]), [], lineage_table([], "a", {}), "L1"
    )


def test_a_scan_without_flags_is_told_to_have_none() -> None:
    page = lineage_page(pd.DataFrame([GRADE]), [], lineage_table([], "a", {}), "L1")
    assert "Scan and vertebra carry no flag" in page
    assert [flag for flag in FLAGS if flag in page] == []


def test_manifests_that_another_job_is_writing_are_left_alone() -> None:
    before = list(read_manifests("results"))
    file = next(Path("results/manifest").glob("*/*.json"))
    file.with_name(f".tmp-1-{file.name}").write_text("{")
    assert list(read_manifests("results")) == before
    assert run_facts(job_manifests("results/manifest"), "0" * 64)["jobs"] == len(before) > 0
