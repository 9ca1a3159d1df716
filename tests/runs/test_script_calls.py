"""What the localizer's scripts ask of each scan, run in this process on scans of one shard."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.runs import ROOT
from helpers.script_jobs import run_script
from vertegrade.annotations.mosmed import AXIAL
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, mm_to_voxel, write_volume
from vertegrade.levels import SACRUM
from vertegrade.phantom.training_scan import cohort_scan
from vertegrade.settings import Settings
from vertegrade.tables import (
    CENTRE_COLUMNS,
    CROPS,
    LANDMARKS,
    SCANS,
    SPINE_BODIES,
    STRAIGHT_SPINES,
    check_table,
    has_flag,
    read_table,
    write_table,
)

SEED = 4343  # as in test_localizer_against_image.py
SIGHT = str(ROOT / "models/localizer/sight.safetensors")


def done(folder: Path, scans: list[str]) -> str:
    """Table SCANS of scans that were converted."""
    known = {"state": "done", "slices": 1.0, "slice_spacing_mm": 1.0, "slice_thickness_mm": 1.0, "pixel_mm": 1.0}
    texts = dict.fromkeys(["reason", "message", "manufacturer", "kernel", "image_sha256", "warnings", "flags"], "")
    table = pd.DataFrame([{"patient_id": f"p-{scan}", "scan_id": scan} | known | texts for scan in scans])
    check_table(table[[*SCANS.columns]], SCANS, "scans").to_parquet(folder / "scans.parquet", index=False)
    return str(folder / "scans.parquet")


def centroids(path: Path, labels: list[int], voxels: np.ndarray) -> str:
    points = [{"label": label, **dict(zip("XYZ", at, strict=True))} for label, at in zip(labels, voxels, strict=True)]
    path.write_text(json.dumps([{"direction": ["R", "A", "S"]}, *points], default=float))
    return str(path)


def test_each_scan_is_held_against_its_image_when_it_is_localized(tmp_path: Path) -> None:  # field test A7, A10
    volume, truth = cohort_scan(SEED, 2)
    truth = truth[truth["vertebra"] != SACRUM]
    voxels = mm_to_voxel(volume.affine, truth[CENTRE_COLUMNS].to_numpy(float))
    turned = voxels * [1, -1, 1] + [0, volume.hu.shape[1] - 1, 0]
    backwards = Volume(np.ascontiguousarray(volume.hu[:, ::-1]), volume.affine)
    rows = []
    for scan, image, places in (
        ("turned", backwards, turned),
        ("good", volume, voxels),
        ("moved", volume, voxels + np.array([20 / volume.spacing_mm[0], 0, 0])),
    ):
        write_volume(tmp_path / f"{scan}_ct.nii.gz", image)
        given = centroids(tmp_path / f"{scan}.json", truth["vertebra"].tolist(), places)
        rows.append(ScanRow(scan, f"p-{scan}", "", centroids=given))
    rows.append(ScanRow("marked", "p-marked", ""))  # needs no volume: it is not opened
    landmarks, states = str(tmp_path / "landmarks.parquet"), str(tmp_path / "states.parquet")
    settings = {"localize": Settings().model_dump()["localize"] | {"method": "provided"}}
    run_script(
        tmp_path,
        "localize",
        {"sight": SIGHT, "volumes": str(tmp_path), "scans": done(tmp_path, [row.scan_id for row in rows])},
        {"landmarks": landmarks, "states": states},
        {
            "settings": settings,
            "rows": [row.plain(set(vars(row))) for row in rows],
            "overrides": [],
            "marks": {"marked": "fail", "good": "doubt"},
        },
    )
    found = read_table(states, SCANS).set_index("scan_id")
    assert found["reason"].to_dict() == {
        "turned": "orientation_contradicts_image",
        "good": "",
        "moved": "landmarks_contradict_image",
        "marked": "qc_fail",
    }
    assert found["state"].tolist() == ["failed", "done", "failed", "excluded"]
    assert found["flags"].tolist() == ["", "qc_doubt", "", ""]
    table = read_table(landmarks, LANDMARKS)
    assert set(table["scan_id"]) == {"good"}
    assert has_flag(table, "qc_doubt").all()


def test_points_on_a_nifti_in_capitals_are_learnt_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_ct.nii.gz").write_bytes(b"a volume")
    (tmp_path / "points.json").write_text("{}")
    row = ScanRow("a", "p-a", "/data/SCAN.NII.GZ", points=str(tmp_path / "points.json"))
    read: dict[str, Any] = {}
    monkeypatch.setattr("vertegrade.localizer.samples.make_samples", lambda _, scans, seed: read.update(scans) or 1)
    monkeypatch.setattr("vertegrade.localizer.train.train_localizer", lambda *args, facts: {})
    outputs = {name: str(tmp_path / name) for name in ("centreline", "vertebrae", "metrics")}
    run_script(
        tmp_path,
        "train_localizer",
        {"scans": [done(tmp_path, ["a"])], "official": [], "sight": SIGHT},
        outputs,
        {
            "state_dir": str(tmp_path / "state"),
            "own": [{"row": row.plain(set(vars(row))), "volume": str(tmp_path / "a_ct.nii.gz")}],
            "given": {"p-a": "train"},
        },
        sections=["train_localizer", "cohort.splits", "localize.mask_labels"],
    )
    assert read["scan-a"].args[2] == AXIAL


def test_spines_are_straightened_and_a_scan_without_a_canal_is_reported(tmp_path: Path) -> None:
    volume, truth = cohort_scan(SEED, 2)
    truth = truth[truth["vertebra"].between(8, 24)]
    landmarks = truth.assign(patient_id="p-good", scan_id="good", confidence=1.0, source="truth")
    landmarks = landmarks.assign(evaluable=True, reason="", flags="", label_confidence=1.0)
    landmarks = landmarks[[name for name in LANDMARKS.columns if name in landmarks]]
    both = pd.concat([landmarks, landmarks.assign(patient_id="p-air", scan_id="air")])
    write_table(tmp_path / "landmarks.parquet", both, LANDMARKS)
    crops = both.assign(crop=range(len(both)), inside_fraction=1.0, slice_thickness_mm=1.0)
    write_table(tmp_path / "crops.parquet", crops[[*CROPS.columns]], CROPS)
    for scan, hu in (("good", volume.hu), ("air", np.full_like(volume.hu, -1000))):
        write_volume(tmp_path / f"{scan}_ct.nii.gz", Volume(hu, volume.affine))
    out = {name: str(tmp_path / name) for name in ("voxels.npy", "spines.parquet", "bodies.parquet")}
    run_script(
        tmp_path,
        "straight_spines",
        {
            "canal": str(ROOT / "models/localizer/canal.safetensors"),
            "volumes": str(tmp_path),
            "scans": done(tmp_path, ["good", "air"]),
            "landmarks": str(tmp_path / "landmarks.parquet"),
            "crops": str(tmp_path / "crops.parquet"),
        },
        {name.split(".")[0]: path for name, path in out.items()},
        sections=["seq2seq.spine"],
    )
    spines = read_table(out["spines.parquet"], STRAIGHT_SPINES).set_index("scan_id")
    assert spines["reason"].to_dict() == {"good": "", "air": "no_canal"}
    assert len(np.load(out["voxels.npy"])) == spines["rows"].sum() == spines.loc["good", "rows"]
    assert spines.loc["good", "canal_seen"] > 0.9
    bodies = read_table(out["bodies.parquet"], SPINE_BODIES)
    assert set(bodies.loc[bodies["scan_id"] == "air", "reason"]) == {"no_canal"}
    here = bodies[bodies["scan_id"] == "good"]
    whole = truth["complete"].to_numpy()
    assert here["evaluable"].to_numpy()[whole].all()
    assert (here["top_row"] < here["bottom_row"]).all()
