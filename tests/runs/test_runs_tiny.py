"""The whole workflow on a tiny cohort, run as a person runs it; then its model on real CT."""

import csv
import html
import json
import re
import shutil
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from helpers.lidc import lidc_folder
from helpers.links import broken_links
from helpers.runs import ROOT, finished_tiny, snakemake
from vertegrade.annotations.masks import body_centres
from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.reasons import FLAGS

SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished tiny run."""
    return finished_tiny(tmp_path_factory)


def test_summary_keeps_its_contract(tiny: Path) -> None:
    summary = json.loads((tiny / "results/summary.json").read_text())
    text = (ROOT / "docs/reference/summary.md").read_text(encoding="utf-8")
    schema = json.loads(text.split("```json", 1)[1].split("```", 1)[0])
    jsonschema.validate(summary, schema)
    assert set(summary["methods"]) == {"dae", "keypoints", "pca"}
    assert summary["cohort"]["scans"] == summary["cohort"]["scans_done"] > 0
    assert summary["cost"]["total"]["jobs"] == summary["run"]["jobs"]
    assert {"phantom", "convert", "train_dae"} <= set(summary["cost"]["rules"])
    assert summary["cost"]["per_scan"]["cpu_h"] > 0  # field test C5


def test_levels_stand_from_head_to_feet_in_what_people_read(tiny: Path) -> None:
    """In the files too that the page and the figures are made of, not by the text of their names."""  # field test B13
    for method in ("dae", "keypoints", "pca"):
        metrics = json.loads((tiny / f"results/evaluation/{method}/metrics.json").read_text())
        table = pd.read_csv(tiny / f"results/evaluation/{method}/metrics.tsv", sep="\t")
        groups = dict.fromkeys(table.loc[table["split"] == "test", "group"])
        in_table = [name.removeprefix("level ") for name in groups if name.startswith("level ")]
        for levels in (list(metrics["splits"]["test"]["by_level"]), in_table):
            assert levels == sorted(levels, key=lambda name: craniocaudal_rank(LABEL_OF[name])), (method, levels)
            assert len(levels) > 9


def test_every_scan_and_vertebra_is_accounted_for(tiny: Path) -> None:
    scans = pd.concat(map(pd.read_parquet, (tiny / "results/landmarks").glob("*_scans.parquet")))
    crops = pd.concat(map(pd.read_parquet, (tiny / "results/crops").glob("*.parquet")))
    predictions = pd.read_parquet(tiny / "results/predictions/dae.parquet")
    assert set(scans["state"]) <= {"done", "excluded", "failed"}
    assert len(predictions) == len(crops)
    assert (predictions["reason"] != "").equals(~predictions["evaluable"])


def test_flags_of_a_scan_go_with_its_vertebrae(tiny: Path) -> None:
    def table(pattern: str) -> pd.DataFrame:
        files = sorted((tiny / "results").glob(pattern))
        return pd.concat(map(pd.read_parquet, files))[["scan_id", "flags"]].drop_duplicates()

    scans = table("ct/*.parquet").set_index("scan_id")["flags"]
    for pattern in (
        "landmarks/*[0-9].parquet", "measurements/*.parquet", "crops/*.parquet", "latents/*/*.parquet",
        "predictions/*.parquet",
    ):  # fmt: skip
        found = table(pattern)
        assert len(found)
        of_scan = [" ".join(flag for flag in text.split() if flag in FLAGS) for text in found["flags"]]
        assert of_scan == scans[found["scan_id"]].tolist(), pattern
    assert (scans != "").any()


def test_what_heights_keypoints_expects_is_told(tiny: Path) -> None:
    heights = json.loads((tiny / "results/heights/intact_heights.json").read_text())
    told = {"published": "published level statistics (as ", "training": "fitted to "}
    assert heights["about"].startswith(told[heights["source"]])
    assert heights["about"] in html.unescape((tiny / "results/report/cohort.html").read_text())
    for path in (tiny / "results/manifest/measure").glob("[0-9]*.json"):
        assert "results/heights/intact_heights.json" in json.loads(path.read_text())["inputs"]


def test_one_table_has_the_grades_of_all_methods(tiny: Path) -> None:
    grades = pd.read_csv(tiny / "results/grades.csv")
    predictions = pd.read_parquet(tiny / "results/predictions/dae.parquet")
    assert grades["research_use_only"].eq("not a medical device").all()
    assert grades["evaluable"].sum() == predictions["evaluable"].sum() == grades["grade"].notna().sum()
    assert {"grade_keypoints", "severity_pca"} <= set(grades)
    assert grades.loc[grades["evaluable"], "novelty"].between(0, 1).all()
    unlike = grades["flags"].fillna("").str.contains("unlike_training")
    assert (grades.loc[grades["evaluable"], "novelty"] >= 0.99).equals(unlike[grades["evaluable"]])


def test_a_given_model_withholds_what_is_unlike_its_training(tiny: Path, tmp_path: Path) -> None:
    scan = next(folder for folder in sorted((tiny / "results/phantom").glob("*/dicom/*")) if folder.is_dir())
    volume = next((tiny / "results/ct").glob(f"*/{scan.name}_ct.nii.gz"))
    image = nib.load(volume)
    strange = np.asarray(image.dataobj, np.float64) + np.random.default_rng(0).normal(0, 400, image.shape)
    nib.save(nib.Nifti1Image(strange.clip(-1024, 3071).astype(np.int16), image.affine), tmp_path / "noisy.nii.gz")
    centroids = scan.parent.parent / "annotations" / f"{scan.name}_seg-vb_ctd.json"
    sheet = f"scan_id,patient_id,path,centroids\na,p1,{tmp_path}/noisy.nii.gz,{centroids}\n"
    (tmp_path / "sheet.csv").write_text(sheet)
    config = {"cohort": {"sheet": str(tmp_path / "sheet.csv"), "shards": 1}, "run": {"model": str(tiny / "results")}}
    run = snakemake(tmp_path, "--cores", "1", config=config)
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    assert "withheld, as they are unlike those of the training (unlike_training)" in run.stdout + run.stderr
    grades = pd.read_csv(tmp_path / "results/grades.csv")
    withheld = grades[grades["reason"] == "unlike_training"]
    assert len(withheld) >= 3
    assert withheld[["grade", "severity", "p_fracture"]].isna().all(axis=None)
    assert (withheld["novelty"] >= 0.99).all()
    flow = json.loads((tmp_path / "results/report/flow.json").read_text())
    assert flow["all"]["vertebrae"]["not_graded"]["unlike_training"] == len(withheld)


def test_every_job_left_a_manifest_whose_hashes_hold(tiny: Path) -> None:
    from vertegrade.files import sha256_of

    manifests = list((tiny / "results/manifest").rglob("*.json"))
    assert 20 < json.loads((tiny / "results/summary.json").read_text())["run"]["jobs"] < len(manifests)
    manifest = json.loads((tiny / "results/manifest/train_dae/all.json").read_text())
    weights = "results/dae/weights.safetensors"
    assert manifest["outputs"][weights] == sha256_of(tiny / weights)


def test_page_says_what_it_is_not(tiny: Path) -> None:
    page = (tiny / "results/report/cohort.html").read_text(encoding="utf-8")
    assert "Research use only, not a medical device" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    for name in ("methods", "claim", "tripod_ai"):
        assert f'href="{name}.md"' in page
        assert "Research use only" in (tiny / f"results/report/{name}.md").read_text(encoding="utf-8")


def test_every_link_of_the_pages_leads_somewhere(tiny: Path) -> None:
    pages = sorted((tiny / "results/report").rglob("*.html"))
    assert len(pages) == 2 + 18
    assert {page.name: links for page in pages if (links := broken_links(page))} == {}


def test_second_run_does_nothing(tiny: Path) -> None:
    run = snakemake(tiny, "--cores", "1")
    assert run.returncode == 0
    assert "Nothing to be done" in run.stdout + run.stderr


def test_evaluation_setting_reruns_evaluation_only(tiny: Path) -> None:
    run = snakemake(tiny, "-n", "--quiet", "rules", config={"evaluation": {"bootstrap_resamples": 60}})
    for rule, runs in (("evaluate", True), ("cohort_page", True), ("train_dae", False), ("grade", False)):
        assert (f"rule {rule}:" in run.stdout + run.stderr or f"\n{rule} " in run.stdout + run.stderr) is runs


def test_a_broken_scan_fails_alone(tiny: Path, tmp_path: Path) -> None:
    good = next(folder for folder in sorted((tiny / "results/phantom").glob("*/dicom/*")) if folder.is_dir())
    annotations = good.parent.parent / "annotations"
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.dcm").write_bytes(b"not a DICOM file")
    centroids = annotations / f"{good.name}_seg-vb_ctd.json"
    rows = [
        {"scan_id": "good", "patient_id": "p1", "path": good, "centroids": centroids},
        {"scan_id": "broken", "patient_id": "p2", "path": tmp_path / "broken"},
        {"scan_id": "missing", "patient_id": "p3", "path": tmp_path / "nowhere"},
        {"scan_id": "unmarked", "patient_id": "p4", "path": good},
    ]
    predictions, scans = grade(tiny, tmp_path, rows)
    assert scans["state"].to_dict() == {"good": "done", "broken": "failed", "missing": "failed", "unmarked": "excluded"}
    assert set(predictions["scan_id"]) == {"good"}
    before = pd.read_parquet(tiny / "results/predictions/dae.parquet").query(f"scan_id == '{good.name}'")
    np.testing.assert_allclose(predictions["severity"], before["severity"])


def run_with_model(tiny: Path, folder: Path, rows: str, **config: dict[str, object]) -> tuple[int, str]:
    """Status and output of a run of a sheet's rows with the model of a finished run."""
    (folder / "sheet.csv").write_text(f"scan_id,patient_id,path\n{rows}")
    cohort = {"sheet": str(folder / "sheet.csv"), "shards": 2} | config.pop("cohort", {})
    model = {"model": str(tiny / "results")} | config.pop("run", {})
    run = snakemake(folder, "--cores", "1", config={"cohort": cohort, "run": model} | config)
    return run.returncode, run.stdout + run.stderr


def test_one_missing_path_ends_with_empty_results_and_a_status(tiny: Path, tmp_path: Path) -> None:  # field test B1, B9
    status, text = run_with_model(tiny, tmp_path, "a,p1,/nowhere\n")
    assert status != 0
    assert "no scan is done (run.fail_on is all); the results are kept" in text
    assert "Vertegrade: 1 scan(s): 0 done, 1 failed (1 path_missing)" in text
    assert "Traceback" not in text
    flow = json.loads((tmp_path / "results/report/flow.json").read_text())
    assert flow["all"]["scans"]["not_converted"] == {"path_missing (failed)": 1}
    assert pd.read_parquet(tmp_path / "results/predictions/dae.parquet").empty
    status, text = run_with_model(tiny, tmp_path, "a,p1,/nowhere\n", run={"fail_on": "none"})
    assert status == 0, text
    assert re.findall(r"^(?:local)?rule (\w+):", text, re.MULTILINE) == ["outcome", "all"]


def test_a_ct_without_a_spine_and_labels_for_nobody_end_well(tiny: Path, tmp_path: Path) -> None:  # field test B1
    scan = next(folder for folder in sorted((tiny / "results/phantom").glob("*/dicom/*")) if folder.is_dir())
    (tmp_path / "labels.csv").write_text("patient_id,scan_id,vertebra,genant_grade\nzz,zz,L1,1\n")
    labels: dict[str, object] = {"labels": str(tmp_path / "labels.csv")}
    status, text = run_with_model(tiny, tmp_path, f"a,p1,{scan}\n", cohort=labels)
    assert status == 0, text[-8000:]
    assert "Vertegrade: 1 scan(s): 0 done, 1 excluded (1 no_landmarks)" in text
    metrics = json.loads((tmp_path / "results/evaluation/dae/metrics.json").read_text())
    assert metrics["method"] == "dae"
    assert metrics["splits"]["test"]["counts"]["vertebrae_labelled"] == 0


def test_other_crops_than_the_models_are_refused_before_the_run(tiny: Path, tmp_path: Path) -> None:  # field test A2
    scan = next(folder for folder in sorted((tiny / "results/phantom").glob("*/dicom/*")) if folder.is_dir())
    other: dict[str, object] = {"pixel_mm": 1.0}
    status, text = run_with_model(tiny, tmp_path, f"a,p1,{scan}\n", crop=other)
    assert status != 0
    assert f"`crop.pixel_mm` is 1.0, but the model {tiny / 'results'} was made with 0.75; leave the key out" in text
    assert not (tmp_path / "results").exists()


@pytest.mark.skipif(lidc_folder() is None, reason="LIDC is not here: run `python tests/helpers/lidc.py`")
def test_lidc_from_dicom_to_grades(tiny: Path, tmp_path: Path) -> None:
    folder = lidc_folder()
    assert folder is not None
    with (folder / "structures.csv").open(encoding="utf-8") as file:
        names = {int(row["id"]): row["structure"].removeprefix("vertebrae_") for row in csv.DictReader(file)}
    levels = {number: LABEL_OF[name] for number, name in names.items() if name in LABEL_OF}
    centroids = write_centroids(folder / "mask.nii.gz", levels, tmp_path / "lidc_seg-vb_ctd.json")
    predictions, scans = grade(
        tiny,
        tmp_path,
        [{"scan_id": "lidc", "patient_id": "lidc", "path": folder / "dicom", "centroids": centroids}],
    )
    assert scans.loc["lidc", "state"] == "done"
    graded = predictions[predictions["evaluable"]]
    assert set(range(LABEL_OF["T2"], LABEL_OF["T12"])) <= set(graded["vertebra"])
    assert graded["severity"].between(0, 3).all()


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
def test_verse_and_totalsegmentator_to_grades(tiny: Path, tmp_path: Path) -> None:
    verse, total = SHARED / "verse014", SHARED / "totalsegmentator_example"
    ids = {number: 51 - number for number in range(27, 44)}
    centroids = write_centroids(total / "totalseg.nii.gz", ids, tmp_path / "total_seg-vb_ctd.json")
    rows = [
        {
            "scan_id": "verse014",
            "patient_id": "verse014",
            "path": verse / "sub-verse014_ct.nii.gz",
            "centroids": verse / "sub-verse014_seg-vb_ctd.json",
        },
        {"scan_id": "total", "patient_id": "total", "path": total / "example_ct.nii.gz", "centroids": centroids},
    ]
    predictions, scans = grade(tiny, tmp_path, rows)
    assert (scans["state"] == "done").all()
    graded = predictions[predictions["evaluable"]]
    assert set(graded.query("scan_id == 'verse014'")["vertebra"]) == {20, 21, 22, 23, 24}
    assert (graded["scan_id"] == "total").sum() >= 3


def grade(model: Path, folder: Path, rows: list[dict[str, object]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Grade the scans of a sheet with the model of a finished run: predictions, and scan states by scan id."""
    sheet = folder / "sheet.csv"
    with sheet.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["scan_id", "patient_id", "path", "centroids"])
        writer.writeheader()
        writer.writerows(rows)
    config: dict[str, dict[str, object]] = {
        "cohort": {"sheet": str(sheet), "shards": 1},
        "run": {"model": str(model / "results")},
        "grading": {"novel": "flag"},  # a tiny model has seen next to nothing
    }
    run = snakemake(folder, "--cores", "1", config=config)
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    shutil.rmtree(folder / "results/ct")
    scans = pd.read_parquet(folder / "results/landmarks/0_scans.parquet").set_index("scan_id")
    return pd.read_parquet(folder / "results/predictions/dae.parquet"), scans


def write_centroids(mask: Path, verse_labels: dict[int, int], path: Path) -> Path:
    """VerSe centroids of the bodies in a mask of another numbering."""
    image = nib.as_closest_canonical(nib.load(mask))
    ids = np.asarray(image.dataobj).astype(int)
    labels = np.zeros(ids.shape, np.uint8)
    for number, label in verse_labels.items():
        labels[ids == number] = label
    entries: list[dict[str, object]] = [{"direction": ["R", "A", "S"]}]
    for label, body in body_centres(labels, image.affine, mask, None).items():
        voxel = nib.affines.apply_affine(np.linalg.inv(image.affine), body.centre_mm)
        entries.append({"label": label, **dict(zip("XYZ", map(float, voxel), strict=True))})
    path.write_text(json.dumps(entries))
    return path
