"""`snakemake challenge`: what it plans for each kind of cohort, and the whole of it on three small scans."""

import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from helpers.links import broken_links
from helpers.model_folder import write_model
from helpers.runs import ROOT, Config, finished_tiny, snakemake
from vertegrade.files import sha256_of

STAGES = {"virtual_fractures", "localize_virtual", "crop_virtual", "measure_virtual", "encode_virtual", "grade_virtual"}
STAGES |= {"appearance_virtual", "credibility", "evaluate_challenge", "challenge"}
BASELINE = {"encode_pca_virtual"}
LEARNED: Config = {"localize": {"method": "learned"}}


def planned(folder: Path, *arguments: str, config: Config | None = None) -> set[str]:
    """Rules of jobs that a dry run of the challenge names."""
    run = snakemake(folder, "-n", *(arguments or ("challenge",)), config=config)
    assert run.returncode == 0, run.stdout + run.stderr
    return set(re.findall(r"^(?:local)?rule (\w+):", run.stdout + run.stderr, re.MULTILINE))


def sheet_of(folder: Path) -> Path:
    rows = [f"s{n},p{n},scan{n}.nii.gz" for n in range(3)]
    (folder / "sheet.csv").write_text("\n".join(["scan_id,patient_id,path", *rows]) + "\n")
    (folder / "labels.csv").write_text("patient_id,scan_id,vertebra,genant_grade\n")
    return folder / "sheet.csv"


def test_the_challenge_of_phantoms_trains_and_grades_with_every_method_and_is_no_default(tmp_path: Path) -> None:
    rules = planned(tmp_path, config=LEARNED)
    assert rules >= STAGES | BASELINE | {"phantom", "train_dae", "grade", "labels"}
    assert "cohort_page" not in rules
    assert not planned(tmp_path, "all", config=LEARNED) & (STAGES | BASELINE)


def test_the_challenge_of_own_scans_with_labels(tmp_path: Path) -> None:
    cohort: dict[str, object] = {"sheet": str(sheet_of(tmp_path)), "labels": str(tmp_path / "labels.csv")}
    rules = planned(tmp_path, config=LEARNED | {"cohort": cohort})
    assert rules >= STAGES | BASELINE | {"convert", "train_dae", "labels"}
    assert "phantom" not in rules


def test_the_challenge_of_a_given_model_needs_no_labels(tmp_path: Path) -> None:
    write_model(tmp_path / "model", {"localize": {"method": "provided"}, "grading": {"coverage": 0.6}})  # as tiny.yaml
    shutil.rmtree(tmp_path / "model/grading/keypoints")  # fitted to no indices of this version
    fitted = tmp_path / "model/grading/dae/hyperplane.json"
    weights = sha256_of(tmp_path / "model/dae/weights.safetensors")
    fitted.write_text(json.dumps(json.loads(fitted.read_text()) | {"model_sha256": weights}))
    config: Config = {"cohort": {"sheet": str(sheet_of(tmp_path))}, "run": {"model": str(tmp_path / "model")}}
    rules = planned(tmp_path, config=config)
    assert rules >= STAGES
    assert not rules & (BASELINE | {"labels", "train_dae", "fit_hyperplane", "calibrate"})


def test_the_challenge_without_labels_and_model_says_what_is_missing(tmp_path: Path) -> None:
    run = snakemake(tmp_path, "-n", "challenge", config={"cohort": {"sheet": str(sheet_of(tmp_path))}})
    assert run.returncode != 0
    assert "no labels and no model" in run.stderr


def fragments(mask: np.ndarray) -> np.ndarray:
    """Labels of vertebrae that are hardly in the scan; their centres would bend the spine."""
    labels, voxels = np.unique(mask[mask > 0], return_counts=True)
    few: np.ndarray = labels[voxels < 0.4 * np.median(voxels)]
    return few


def write_small(folder: Path, tiny: Path, count: int) -> Path:
    """Sheet of some of the tiny run's scans with their masks, both with one voxel in twelve: seconds, not minutes."""
    rows = ["scan_id,patient_id,path,mask"]
    for number, path in enumerate(sorted((tiny / "results/ct").glob("*/*_ct.nii.gz"))[:count]):
        scan = path.name.removesuffix("_ct.nii.gz")
        mask = tiny / "results/phantom" / path.parent.name / "annotations" / f"{scan}_seg-vert_msk.nii.gz"
        for file, name in ((path, "ct"), (mask, "msk")):
            image = nib.as_closest_canonical(nib.load(file))
            thin = max(1, round(1.6 / image.header.get_zooms()[2]))
            small = image.slicer[::2, ::2, ::thin]
            voxels = np.asarray(small.dataobj, np.int16)
            if name == "msk":
                voxels[np.isin(voxels, fragments(voxels))] = 0
            nib.save(nib.Nifti1Image(voxels, small.affine), folder / f"{number}_{name}.nii.gz")
        rows.append(f"s{number},p{number},{folder}/{number}_ct.nii.gz,{folder}/{number}_msk.nii.gz")
    (folder / "sheet.csv").write_text("\n".join(rows) + "\n")
    return folder / "sheet.csv"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config]:
    """Folder of a finished challenge of the tiny run's model, and its config."""
    tiny, folder = finished_tiny(tmp_path_factory), tmp_path_factory.mktemp("challenge")
    config: Config = {
        "cohort": {"sheet": str(write_small(folder, tiny, 3)), "shards": 1},
        "run": {"model": str(tiny / "results")},
        "virtual_fractures": {"copies": 2},
    }
    run = snakemake(folder, "--cores", "1", "challenge", config=config)
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    return folder, config


def test_the_challenge_grades_virtual_fractures_to_a_page(finished: tuple[Path, Config]) -> None:
    results = finished[0] / "results/virtual"
    numbers = json.loads((results / "challenge.json").read_text())
    cases = pd.read_parquet(results / "challenge.parquet")
    assert set(numbers["methods"]) == {"dae", "keypoints"}
    assert numbers["vertebrae"]["fracture"] == (cases["kind"] == "fracture").sum() / 2 >= 6
    assert numbers["vertebrae"]["sham"] >= 6
    keypoints = numbers["methods"]["keypoints"]["all"]
    assert keypoints["kinds"]["fracture"]["found"]["value"] == 1  # given landmarks moved with the bone
    errors = [numbers["heights"][kind]["all"]["mae"]["value"] for kind in ("fracture", "sham", "untouched")]
    assert max(errors) < 0.01
    assert broken_links(results / "challenge.html") == []
    page = (results / "challenge.html").read_text(encoding="utf-8")
    assert "VIRTUAL fractures" in page
    assert "Research use only, not a medical device" in page
    assert page.count("data:image/png;base64") >= 6


def test_every_key_of_the_numbers_is_documented(finished: tuple[Path, Config]) -> None:
    page = (ROOT / "docs/reference/challenge.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(\w+)`", page))
    numbers = json.loads((finished[0] / "results/virtual/challenge.json").read_text())
    groups = numbers["methods"].pop("dae")
    block = groups["all"]
    keys = set(numbers) | set(groups) | set(block) | set(block["counts"]) | set(block["kinds"])
    keys |= {key for part in (*block["kinds"].values(), *block["bands"]) for key in part}
    keys |= set(numbers["heights"]["sham"]) | set(numbers["heights"]["sham"]["all"]) | set(numbers["credibility"])
    keys |= set(numbers["credibility"]["sham_against_untouched"]) | set(block["auc"])
    assert keys - documented == set()


@pytest.mark.parametrize(
    ("config", "rules"),
    [
        ({}, set()),
        ({"report": {"window_centre_hu": 300}}, {"challenge"}),
        ({"evaluation": {"bootstrap_resamples": 60}}, {"credibility", "evaluate_challenge", "challenge"}),
        ({"virtual_fractures": {"copies": 3}}, STAGES),
    ],
)
def test_a_change_re_runs_what_follows_from_it(finished: tuple[Path, Config], config: Config, rules: set[str]) -> None:
    assert planned(finished[0], config=finished[1] | config) == rules


def test_virtual_scans_are_named_so_and_their_files_say_so(finished: tuple[Path, Config]) -> None:
    volumes = sorted((finished[0] / "results/virtual/ct").glob("*/*.nii.gz"))
    assert len(volumes) == 6
    for volume in volumes:
        assert "-virtual-" in volume.name
        assert b"VIRTUAL" in nib.load(volume).header["descrip"].tobytes()


def test_the_audit_and_the_crate_know_the_stages_of_virtual_scans(finished: tuple[Path, Config]) -> None:
    run = snakemake(finished[0], "--cores", "1", "ro_crate", config=finished[1])
    assert run.returncode == 0, (run.stdout + run.stderr)[-4000:]
    audit = snakemake(finished[0], "--cores", "1", "audit", config=finished[1])
    found = re.findall(r"missing: (\S+):", audit.stdout + audit.stderr)
    assert set(found) == {"results/report/outcome.txt"}  # the default target was not asked for
    assert "'altered': 0, 'added': 0, 'stale': 0, 'inconsistent': 0, 'orphaned': 0" in audit.stdout + audit.stderr
    crate = json.loads((finished[0] / "results/ro-crate-metadata.json").read_text())
    instruments = {entity["@id"]: entity.get("instrument", {}).get("@id") for entity in crate["@graph"]}
    assert instruments["#job/crop_virtual/shard=0"] == "workflow/workflow_scripts/crop.py"
