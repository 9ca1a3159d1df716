"""The learned localizer in the workflow: from DICOM to heights and pictures; what a correction by hand re-runs."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.runs import snakemake
from mosmed_file import write_mosmed
from vertegrade.cohort.hashed_split import hashed_split
from vertegrade.ct.volume import read_volume
from vertegrade.localizer.centreline.samples import CentrelineSample
from vertegrade.localizer.refiner.samples import LookSamples
from vertegrade.localizer.sample_file import load_sample
from vertegrade.settings import SplitSettings
from vertegrade.tables import POINT_COLUMNS

STEPS: dict[str, object] = {"refiner_steps": 1, "detector_steps": 1, "centreline_steps": 1}
HEADER = "scan_id,vertebra,action\n"
TARGETS = [f"results/measurements/{shard}.parquet" for shard in (0, 1)]


def with_overrides(folder: Path) -> dict[str, dict[str, object]]:
    """Config of four patients, found by the networks and corrected by `overrides.csv`."""
    localize = {"method": "learned", "overrides": str(folder / "overrides.csv")}
    return {"localize": localize, "phantom": {"patients": 4}, "run": {"device": "cpu"}}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which the scans of four patients were localized, measured and drawn."""
    folder = tmp_path_factory.mktemp("learned")
    (folder / "overrides.csv").write_text(HEADER)
    run = snakemake(folder, "--cores", "1", *TARGETS, "localization_pictures", config=with_overrides(folder))
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    return folder


def tables(folder: Path, pattern: str) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, sorted((folder / "results").glob(pattern))), ignore_index=True)


def test_most_whole_vertebrae_are_found_and_measured(learned: Path) -> None:
    truth = tables(learned, "phantom/*/truth.parquet").query("complete")
    found = tables(learned, "measurements/[01].parquet")
    both = truth.merge(found, on=["scan_id", "vertebra"], suffixes=("", "_found"))
    assert len(both) > 0.9 * len(truth)
    error = both["height_middle_mm_found"] - both["height_middle_mm"]
    assert both["evaluable"].mean() > 0.9
    assert np.nanmedian(error.abs()) < 1.0


def test_every_localized_scan_has_a_picture(learned: Path) -> None:
    pictures = {path.stem for path in (learned / "results/localization").glob("*/*.png")}
    assert pictures == set(tables(learned, "landmarks/[01].parquet")["scan_id"])


def test_the_networks_are_trained_on_masks_of_training_patients_alone(learned: Path) -> None:
    config = with_overrides(learned) | {"train_localizer": STEPS | {"scans": 2, "own_scans": True}}
    run = snakemake(learned, "--cores", "1", "train_localizer", config=config)
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    metrics = json.loads((learned / "results/localizer/training.json").read_text())
    splits = SplitSettings(train=0.5, validation=0.25)  # of tiny.yaml
    scans = tables(learned, "ct/[01].parquet")
    expected = {row.scan_id for row in scans.itertuples() if hashed_split(row.patient_id, splits) == "train"}
    samples = {path.name.split(".")[0] for path in (learned / "results/localizer/state").glob("*/samples/scan-*")}
    assert 0 < metrics["own_scans"] == len(expected) < len(scans)
    assert samples == {f"scan-{scan}" for scan in expected}


def annotated_sheet(learned: Path, folder: Path) -> Path:
    """Sheet of the fixture's scans, as NIfTI with points, DICOM with points, DICOM with centroids alone and, in the
    test split, a NIfTI with points.
    """
    rows = ["scan_id,patient_id,path,split,points,centroids"]
    truth = tables(learned, "phantom/*/truth.parquet").query("complete")
    results = learned / "results"
    for number, (scan, bodies) in enumerate(list(truth.groupby("scan_id"))[:4]):
        volume_file = next((results / "ct").glob(f"*/{scan}_ct.nii.gz"))
        dicom = results / "phantom" / volume_file.parent.name / "dicom" / scan
        centroids = results / "phantom" / volume_file.parent.name / "annotations" / f"{scan}_seg-vb_ctd.json"
        points = bodies[POINT_COLUMNS].to_numpy(float).reshape(-1, 6, 3)
        write_mosmed(
            folder / f"{number}.json",
            read_volume(volume_file),
            {"expert1": dict(zip(bodies["vertebra"], points, strict=True))},
            head_first=number == 1,
        )
        path = dicom if number in (1, 2) else volume_file
        given = f",{centroids}" if number == 2 else f"{folder / f'{number}.json'},"
        rows.append(f"s{number},p{number},{path},{'test' if number == 3 else 'train'},{given}")
    (folder / "sheet.csv").write_text("\n".join(rows) + "\n")
    return folder / "sheet.csv"


def test_points_and_centroids_alone_train_the_networks_once_a_broken_file_is_mended(
    learned: Path, tmp_path: Path
) -> None:
    config: dict[str, dict[str, object]] = {
        "cohort": {"sheet": str(annotated_sheet(learned, tmp_path))},
        "train_localizer": STEPS | {"scans": 0, "own_scans": True},
        "run": {"device": "cpu"},
    }
    sound = (tmp_path / "0.json").read_text()
    (tmp_path / "0.json").write_text(sound.replace('"Th10"', '"Th14"').replace('"L2"', '"L7"'))
    broken = snakemake(tmp_path, "--cores", "1", "train_localizer", config=config)
    text = broken.stdout + broken.stderr
    assert broken.returncode != 0
    assert re.search(rf"scan-s0: points_unusable: {tmp_path}/0.json: expert1, vertebra \d+: type '(Th14|L7)'", text)
    assert "correct the files, or empty their cells in the sample sheet" in text

    (tmp_path / "0.json").write_text(sound)
    run = snakemake(tmp_path, "--cores", "1", "train_localizer", config=config)
    assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
    metrics = json.loads((tmp_path / "results/localizer/training.json").read_text())
    assert (metrics["own_scans"], metrics["own_scans_left_out"], metrics["phantom_scans"]) == (3, 0, 0)
    samples = next(path.parent for path in (tmp_path / "results/localizer/state").glob("*/samples/scan-s0.look.npz"))
    assert {path.name.split(".")[0] for path in samples.iterdir()} == {"scan-s0", "scan-s1", "scan-s2"}
    for number, (_, bodies) in enumerate(list(tables(learned, "phantom/*/truth.parquet").groupby("scan_id"))[:3]):
        found = load_sample(samples / f"scan-s{number}.line.npz", CentrelineSample)
        known = bodies.set_index("vertebra").loc[found.labels]
        centres = known[[f"centre_{axis}_mm" for axis in "xyz"]].to_numpy(float)
        # The mean of six points is not the middle of a body; VerSe's centroids count whole voxels.
        assert np.linalg.norm(found.centres_mm - centres, axis=1).mean() < 2.5
        looks = load_sample(samples / f"scan-s{number}.look.npz", LookSamples)
        assert len(looks.pixels) == (0 if number == 2 else len(known))


def test_a_correction_re_runs_the_localization_of_its_shard_alone(learned: Path) -> None:
    row = pd.read_parquet(learned / "results/landmarks/1.parquet").iloc[0]
    (learned / "overrides.csv").write_text(f"{HEADER}{row['scan_id']},{row['vertebra']},delete\n")
    plan = snakemake(learned, "-n", *TARGETS, config=with_overrides(learned))
    assert plan.returncode == 0, plan.stdout + plan.stderr
    blocks = plan.stdout.split("rule localize:")[1:]
    assert [block.split("output: ")[1].split(",")[0] for block in blocks] == ["results/landmarks/1.parquet"]
