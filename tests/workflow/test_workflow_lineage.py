"""The lineage page shows texts that people wrote as texts."""

import copy
import html
from pathlib import Path

import pandas as pd
import pytest

from helpers.small_run import PARAMS, write_job, write_run
from vertegrade.files import file_hashes
from vertegrade.reasons import FLAGS
from vertegrade.vertebra_reasons import VERTEBRA_FLAGS
from vertegrade.workflow.lineage import (
    LEARNED,
    SAME_RUN,
    LineageError,
    learned_splits,
    lineage_page,
    lineage_table,
    scans_of,
    steps_behind,
)
from vertegrade.workflow.manifest import read_manifests
from vertegrade.workflow.run_facts import job_manifests, run_facts

HOSTILE = "<script>alert('x')</script>"
GRADE = {"scan_id": "a", "vertebra": 20, "method": "dae", "evaluable": False, "reason": HOSTILE, "flags": ""}
GRADE |= {"novelty": float("nan")}


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
    manifests = list(read_manifests("results"))
    steps = steps_behind(file_hashes(["results/crops"]), manifests, "0", "results")
    table = lineage_table(steps, "a", {"results": scans_of(manifests, None)})
    page = lineage_page(pd.DataFrame([GRADE]), steps, table, "L1", "")
    assert "<script" not in page
    assert "<b>" not in page
    # reason of the grade, host, package, code, patient and fingerprint; names and values
    assert page.count("&lt;script&gt;alert(") == 8
    assert "scans/&lt;b&gt;a&amp;b&lt;/b&gt;.dcm" in page


def shown_flags(page: str) -> set[str]:
    return {flag for flag, meaning in FLAGS.items() if f">{flag}</th><td>{meaning}</td>" in page}


def test_flags_of_the_scan_are_told_in_plain_words() -> None:
    rows = pd.DataFrame([GRADE, GRADE | {"flags": "resampled_tilt thick_slices"}])
    page = lineage_page(rows, [], lineage_table([], "a", {}), "L1", "")
    assert shown_flags(page) == {"resampled_tilt", "thick_slices"}
    assert "no flag" not in page


def test_an_uncertain_level_and_doubtful_points_are_told() -> None:  # field test A11
    rows = pd.DataFrame([GRADE | {"flags": "doubtful_points uncertain_level", "label_confidence": 0.41}])
    page = lineage_page(rows, [], lineage_table([], "a", {}), "L1", "")
    assert "Where the grade of a, about L1 comes from" in page
    assert "a probability of 0.41" in page
    assert VERTEBRA_FLAGS["doubtful_points"] in html.unescape(page)
    assert "Where the grade of a L1 comes from" in lineage_page(
        pd.DataFrame([GRADE]), [], lineage_table([], "a", {}), "L1", ""
    )


def test_why_a_grade_is_withheld_is_told() -> None:
    withheld = {"reason": "unlike_training", "novelty": 0.998, "flags": "look_at_this unlike_training"}
    page = html.unescape(lineage_page(pd.DataFrame([GRADE | withheld]), [], lineage_table([], "a", {}), "L1", ""))
    assert "<td>none</td><td></td><td></td><td>0.998</td><td>unlike_training</td>" in page
    assert VERTEBRA_FLAGS["look_at_this"] in page


def test_what_heights_a_measurement_expects_is_told() -> None:
    arguments = pd.DataFrame([GRADE]), [], lineage_table([], "a", {}), "L1", ""
    assert "Keypoints compares its heights with those of intact vertebrae: of A." in lineage_page(*arguments, "of A")
    assert "Keypoints compares" not in lineage_page(*arguments)


def test_a_scan_without_flags_is_told_to_have_none() -> None:
    page = lineage_page(pd.DataFrame([GRADE]), [], lineage_table([], "a", {}), "L1", "")
    assert "Scan and vertebra have no flag" in page
    assert [flag for flag in FLAGS if flag in page] == []


def test_manifests_that_another_job_is_writing_are_left_alone() -> None:
    before = list(read_manifests("results"))
    file = next(Path("results/manifest").glob("*/*.json"))
    file.with_name(f".tmp-1-{file.name}").write_text("{")
    assert list(read_manifests("results")) == before
    assert run_facts(job_manifests("results/manifest"), "0" * 64)["jobs"] == len(before) > 0


def row_of(scan: str, folder: str) -> dict[str, str]:
    return {"scan_id": scan, "patient_id": f"p-{scan}", "path": f"{folder}/{scan}", "mask": "", "centroids": ""}


def write_run_of_model() -> None:
    """In `trained`: scan t is learned from, v is tested. In `results`: scans a and b are graded with that model."""
    for path, text in {
        "old/t/1.dcm": "t", "old/v/1.dcm": "v", "trained/crops/0.npy": "tv", "trained/cohort/splits.tsv":
        "patient_id\tsplit\np-t\ttrain\np-v\ttest\n", "trained/dae/weights": "w",
        "new/a/1.dcm": "a", "new/b/1.dcm": "b", "results/crops/1.npy": "a", "results/crops/2.npy": "b",
        "results/predictions/dae.parquet": "grades",
    }.items():  # fmt: skip
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    old, new = ({"results": results} for results in ("trained", "results"))
    rows = [row_of("t", "old"), row_of("v", "old")]
    write_job("crop", {"shard": "0"}, ["old/t", "old/v"], ["trained/crops/0.npy"], params={"rows": rows}, **old)
    write_job("split", {}, [], ["trained/cohort/splits.tsv"], **old)
    write_job("train_dae", {}, ["trained/crops/0.npy", "trained/cohort/splits.tsv"], ["trained/dae/weights"], **old)
    for shard, scan in (("1", "a"), ("2", "b")):
        params = {"rows": [row_of(scan, "new")]}
        write_job("crop", {"shard": shard}, [f"new/{scan}"], [f"results/crops/{shard}.npy"], params=params, **new)
    read = ["results/crops/1.npy", "results/crops/2.npy", "trained/dae/weights"]
    write_job("grade", {}, read, ["results/predictions/dae.parquet"], **new)


def lineage_of_a(model: str) -> tuple[str, pd.DataFrame]:
    runs = {results: list(read_manifests(results)) for results in ("results", model)}
    manifests = [manifest for of_run in runs.values() for manifest in of_run]
    steps = steps_behind(file_hashes(["results/predictions"]), manifests, "1", "results")
    scans = {name: scans_of(jobs, learned_splits(name, jobs) if name == model else None) for name, jobs in runs.items()}
    table = lineage_table(steps, "a", scans)
    return lineage_page(pd.DataFrame([GRADE]), steps, table, "L1", model), table


def test_the_scans_that_a_given_model_learned_from_are_those_of_its_own_run() -> None:
    # field test B7
    write_run_of_model()
    page, table = lineage_of_a("trained")
    assert "were trained by the run in trained, on 1 scan " in page
    learned = table[table["relation"] == LEARNED]
    assert set(learned.loc[learned["kind"] == "scan", "name"]) == {"t"}
    assert set(learned.loc[learned["kind"] == "read", "name"]) == {"old/t/1.dcm"}
    others = table[table["relation"] == SAME_RUN]
    assert set(others.loc[others["kind"] == "read", "name"]) == {"old/v/1.dcm", "new/b/1.dcm"}
    assert "train_dae, in the run that trained the models" in page


def test_a_model_without_its_runs_record_is_said_to_have_none() -> None:
    # field test B7
    write_run_of_model()
    Path("trained/cohort/splits.tsv").write_text("patient_id\tsplit\n")
    page, table = lineage_of_a("trained")
    assert "What the models behind it were trained on is not recorded: trained contains no manifests" in page
    assert LEARNED not in set(table.loc[table["kind"] == "scan", "relation"])


def test_a_model_that_was_trained_anew_after_it_graded_is_refused() -> None:
    # field test B7
    write_run_of_model()
    Path("trained/dae/weights").write_text("other")
    write_job("train_dae", {}, ["trained/crops/0.npy"], ["trained/dae/weights"], results="trained")
    with pytest.raises(LineageError, match="trained/dae/weights: train_dae made it again after it was used"):
        lineage_of_a("trained")


def test_files_of_other_scans_take_a_line_a_folder_with_a_digest_that_pins_them() -> None:
    # field test B13
    def table(changed: str = "") -> pd.DataFrame:
        for scan in ("a", "b"):
            for number in range(300):
                path = Path(f"many/{scan}/{number}.dcm")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{scan} {number}{changed}")
        rows = [row_of("a", "many"), row_of("b", "many")]
        write_job("convert", {"shard": "0"}, ["many/a", "many/b"], ["results/ct/0"], params={"rows": rows})
        manifests = list(read_manifests("results"))
        steps = steps_behind(file_hashes(["results/ct"]), manifests, "0", "results")
        return lineage_table(steps, "a", {"results": scans_of(manifests, None)})

    before, after = table(), table("!")
    for found in (before, after):
        assert sum(found["name"].str.startswith("many/a/")) == 300
        assert found.loc[found["name"].str.startswith("many/b/"), "name"].tolist() == ["many/b/ (300 files)"]
        assert not found["name"].str.contains("rows[b]", regex=False).any()
        assert found["name"].str.contains("rows[a]", regex=False).any()
    digests = [found.set_index("name").loc["many/b/ (300 files)", "value"] for found in (before, after)]
    assert digests[0] != digests[1]
