"""Which files each rule that learns or judges reads, without running a job: no shard left out, none of another split.

The scripts choose patients by the splits (test_script_splits.py); here, that they are given the splits at all.
"""

import json
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from helpers.runs import ROOT, TINY
from vertegrade.cohort.hashed_split import hashed_split
from vertegrade.settings import Settings, SplitSettings
from vertegrade.workflow.plan import OpenWorkflow, Planned, open_workflow

FILES = [str(ROOT / "config.yaml"), str(TINY)]
GRADED_BY = ["cohort/splits.tsv", "grading/dae/hyperplane.json", "grading/dae/calibrator.json"]
JUDGED_BY = ["cohort/labels.parquet", "cohort/splits.tsv", "crops/*.parquet", "landmarks/*_scans.parquet"]
# Below <results>; * stands for each of the shards.
READS = {
    "train_dae": ["crops/*.npy", "crops/*.parquet", "cohort/splits.tsv"],
    "train_pca": ["crops/*.npy", "crops/*.parquet", "cohort/splits.tsv"],
    "fit_hyperplane": ["latents/dae/*.parquet", "cohort/labels.parquet", "cohort/splits.tsv"],
    "calibrate": [
        "latents/dae/*.parquet",
        "cohort/labels.parquet",
        "cohort/splits.tsv",
        "grading/dae/hyperplane.json",
    ],
    "fit_novelty": ["latents/dae/*.parquet", "appearance/*.parquet", *GRADED_BY],
    "grade": ["latents/dae/*.parquet", "appearance/*.parquet", *GRADED_BY, "grading/dae/novelty.json"],
    "evaluate": ["predictions/dae.parquet", *JUDGED_BY],
    "differences": ["predictions/dae.parquet", "predictions/pca.parquet", *JUDGED_BY],
    "grades": [f"predictions/{method}.parquet" for method in ("dae", "keypoints", "pca")],
    "summary": [
        *(f"evaluation/{method}/metrics.json" for method in ("dae", "keypoints", "pca")),
        "grades.csv",
        "landmarks/*_scans.parquet",
    ],
    "split": ["landmarks/*_scans.parquet"],
    "labels": ["cohort/splits.tsv", "crops/*.parquet", "phantom/*/truth.parquet"],
    "fit_steps": ["collapsed/*.npy", "collapsed/*.parquet", "dae/weights.safetensors"],
    "counterfactual": [
        "crops/*.npy",
        "crops/*_frames.npy",
        "landmarks/*.parquet",
        "measurements/*.parquet",
        "latents/dae/*.parquet",
        "predictions/dae.parquet",
        "grades.csv",
        "dae/weights.safetensors",
        "collapsed/steps.safetensors",
        "grading/dae/hyperplane.json",
        "grading/dae/calibrator.json",
    ],
}
# Of one shard: it alone is read.
OF_SHARD = {
    "crop": ["ct/0", "landmarks/0.parquet", "landmarks/0_scans.parquet"],
    "measure": ["landmarks/0.parquet", "heights/intact_heights.json"],
    "appearance": ["crops/0.npy", "crops/0.parquet"],
    "encode": ["crops/0.npy", "crops/0.parquet", "dae/weights.safetensors"],
    "encode_pca": ["crops/0.npy", "crops/0.parquet", "pca/components.safetensors"],
    "collapse_crops": [
        "cohort/splits.tsv",
        "crops/0.parquet",
        "crops/0_frames.npy",
        "ct/0",
        "ct/0.parquet",
        "landmarks/0.parquet",
        "measurements/0.parquet",
    ],
}
SHARDS = ("0", "1")
OWN_SPLITS = {name: "test" if hashed_split(name, SplitSettings()) == "train" else "train" for name in ("p0", "p1")}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Planned], dict[str, dict]]:
    """Jobs of the tiny cohort, and params of some rules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("empty"))
        with open_workflow({}, ROOT / "Snakefile", ["mtime"], FILES) as workflow:
            jobs = workflow.planned()
            asked = (*READS, *OF_SHARD)
            found = {rule: workflow.params(rule, {"method": "dae", "shard": "0"}) or {} for rule in asked}
    return jobs, found


def read_by(jobs: list[Planned], rule: str, **wildcards: str) -> set[str]:
    """Files below <results> that a job reads."""
    (job,) = [job for job in jobs if job.rule == rule and wildcards.items() <= job.wildcards.items()]
    return {path.removeprefix("results/") for path in job.inputs if path.startswith("results/")}


@pytest.mark.parametrize("rule", READS)
def test_a_rule_of_the_cohort_reads_all_shards(rule: str, tiny: tuple[list[Planned], dict]) -> None:
    wanted = {path.replace("*", shard) for path in READS[rule] for shard in SHARDS}
    of_method = {"method": "dae"} if any(job.rule == rule and job.wildcards for job in tiny[0]) else {}
    assert read_by(tiny[0], rule, **of_method) == wanted


@pytest.mark.parametrize("rule", OF_SHARD)
def test_a_rule_of_a_shard_reads_that_shard(rule: str, tiny: tuple[list[Planned], dict]) -> None:
    assert read_by(tiny[0], rule, shard="0") == set(OF_SHARD[rule])


def test_params_say_how_grades_are_learned_and_judged(tiny: tuple[list[Planned], dict]) -> None:
    params, settings = tiny[1], Settings()
    learns = {"grading.fracture_grade", "grading.classifier", "grading.folds"}
    assert set(params["fit_hyperplane"]["settings"]) == learns
    assert set(params["calibrate"]["settings"]) == learns | {"grading.calibration", "grading.coverage"}
    assert params["train_pca"]["window"] == [settings.dae.model.hu_low, settings.dae.model.hu_high]
    seeded = ["train_dae", "train_pca", "fit_hyperplane", "calibrate", "evaluate", "differences", "counterfactual"]
    assert {params[rule]["seed"] for rule in [*seeded, "collapse_crops"]} == {settings.run.seed}
    assert params["differences"]["baseline"] == "pca"
    assert params["grade"]["withhold"] is False


def opened(folder: Path, **run: str) -> AbstractContextManager[OpenWorkflow]:
    """The workflow of a sheet of three patients, of whom two have other splits than by their hash."""
    rows = [f"s{n},p{n},{folder}/s{n}.nii.gz,{split}" for n, split in enumerate((*OWN_SPLITS.values(), ""))]
    for n in range(3):
        (folder / f"s{n}.nii.gz").touch()
    (folder / "sheet.csv").write_text("\n".join(["scan_id,patient_id,path,split", *rows]) + "\n")
    (folder / "labels.csv").write_text("patient_id,scan_id,vertebra,genant_grade\np0,s0,L1,1\n")
    cohort = {"sheet": str(folder / "sheet.csv"), "labels": str(folder / "labels.csv")}
    return open_workflow({"cohort": cohort, "run": run}, ROOT / "Snakefile", ["mtime"], [str(ROOT / "config.yaml")])


def test_splits_of_the_sheet_are_those_of_the_patients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with opened(tmp_path) as workflow:
        given = workflow.params("split", {})["given"]
    assert given == OWN_SPLITS


def test_no_patient_graded_by_a_given_model_teaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A given model was trained by others: nothing here is training or validation, and what is unlike has no grade."""
    monkeypatch.chdir(tmp_path)
    model = ROOT / "models/grader"
    with opened(tmp_path, model=str(model)) as workflow:
        given, withhold = workflow.params("split", {})["given"], workflow.params("grade", {"method": "dae"})["withhold"]
        jobs = workflow.planned(["results/grades.csv"])
    assert json.loads((model / "model.json").read_text())  # a frozen model
    assert given == OWN_SPLITS | {"p2": "test"}
    assert withhold is True
    rules = {job.rule for job in jobs}
    assert not rules & {"train_dae", "train_pca", "fit_hyperplane", "calibrate", "fit_novelty"}
    for job in jobs:
        if job.rule == "grade":
            folder = Path(model, "grading", job.wildcards["method"])
            own = {str(folder / name) for name in ("hyperplane.json", "calibrator.json", "novelty.json")}
            assert own <= set(job.inputs)
