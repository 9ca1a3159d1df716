"""Whose vertebrae the scripts hand to what learns, draws and judges: patients of the right split, rows that fit."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.dae_job import training_job
from helpers.script_jobs import run_script
from helpers.simulated_latents import appearance_of, cohort
from helpers.synthetic_predictions import make_cohort
from helpers.tiny_dae import pixels
from vertegrade.cohort.labels import LabelError
from vertegrade.cohort.splits import LeakageError
from vertegrade.drawn_tables import COLLAPSED_CROPS, LOSSES
from vertegrade.evaluation.cases import EvaluationError
from vertegrade.files import write_json
from vertegrade.graders.crops import Crops
from vertegrade.graders.pca import fit_pca, load_pca
from vertegrade.grading.calibration import Calibration, calibrate
from vertegrade.grading.grades import grade_table
from vertegrade.grading.hyperplane import Hyperplane, fit_hyperplane
from vertegrade.grading.novelty import Novelty, fit_novelty
from vertegrade.grading.prediction import predict, with_novelty, with_patients
from vertegrade.grading.rows import GradingError
from vertegrade.report.spread import suspicious_vertebrae
from vertegrade.settings.dae import CounterfactualSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.settings.spine import CropSettings
from vertegrade.tables import (
    CROPS,
    LANDMARKS,
    LATENTS,
    MEASUREMENTS,
    PATIENT_SPLITS,
    PREDICTIONS,
    SCANS,
    empty_table,
    read_table,
    write_table,
)


class Seen(Exception):
    """What a script was to be seen doing was seen; the rest need not run."""


def test_pca_learns_from_evaluable_crops_of_training_patients(tmp_path: Path) -> None:
    job = training_job(tmp_path)
    table = pd.read_parquet(job.crops[0])
    table.loc[4, ["evaluable", "reason"]] = [False, "outside_scan"]
    table.to_parquet(job.crops[0])
    inputs = {"pixels": [str(job.pixels[0])], "crops": [str(job.crops[0])], "splits": str(job.splits)}
    found = str(tmp_path / "components.safetensors")
    params = {"window": [0.0, 400.0], "settings": {"grading.pca": {"components": 3}}, "seed": 5}
    run_script(tmp_path, "train_pca", inputs, {"components": found}, params)
    wanted = fit_pca(Crops([np.delete(pixels()[:10], 4, axis=0)]), 3, (0.0, 400.0), 5)
    np.testing.assert_array_equal(load_pca(found).components, wanted.components)
    assert load_pca(found).window == (0.0, 400.0)


def test_steps_are_learned_from_pairs_of_the_same_vertebra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two shards; a vertebra is one of a scan, not a level."""
    inputs: dict[str, Any] = {"weights": "w", "pixels": [], "crops": []}
    for shard, scan in enumerate(("a", "b")):
        rows = [
            {
                "patient_id": f"p{shard}",
                "scan_id": scan,
                "vertebra": vertebra,
                "crop": 2 * n + k,
                "shape": ["", "wedge"][k],
            }
            | dict(zip(LOSSES, (0.4 * k, 0.2 * k, 0.1 * k * (n + 1)), strict=True))
            for n, vertebra in enumerate((20, 21))
            for k in range(2)
        ]
        write_table(tmp_path / f"{shard}.parquet", pd.DataFrame(rows), COLLAPSED_CROPS)
        np.save(tmp_path / f"{shard}.npy", np.full((4, 3, 16, 16), shard, np.int16))
        inputs["crops"].append(str(tmp_path / f"{shard}.parquet"))
        inputs["pixels"].append(str(tmp_path / f"{shard}.npy"))
    seen: list[Any] = []
    encoded = np.arange(8, dtype=np.float32)[:, None]
    monkeypatch.setattr("vertegrade.graders.dae.weights.load_dae", lambda *_: SimpleNamespace(sha256="sha"))
    monkeypatch.setattr("vertegrade.graders.dae.encoding.encode", lambda dae, arrays, size: encoded)

    def fit(*arguments: Any) -> None:
        seen.extend(arguments)
        raise Seen

    monkeypatch.setattr("vertegrade.graders.dae.steps.fit_steps", fit)
    with pytest.raises(Seen):
        run_script(tmp_path, "fit_steps", inputs, {"steps": str(tmp_path / "s")}, sections=["dae.encode"])
    z, losses, vertebra, patient, sha256 = seen
    np.testing.assert_array_equal(z, encoded)
    np.testing.assert_allclose(losses[[0, 1, 3]], [[0, 0, 0], [0.4, 0.2, 0.1], [0.4, 0.2, 0.2]])
    assert vertebra.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert patient.tolist() == ["p0"] * 4 + ["p1"] * 4
    assert sha256 == "sha"


def rows_of(schema: Any, keys: list[tuple[str, str, int]], **columns: Any) -> pd.DataFrame:
    """Rows of a table whose other columns are those of an empty one: numbers 0, texts empty."""
    table = pd.DataFrame(keys, columns=["patient_id", "scan_id", "vertebra"])
    for name, dtype in empty_table(schema).dtypes.items():
        if name not in table:
            blank: Any = False if dtype.kind == "b" else 0 if dtype.kind in "iuf" else ""
            table[name] = columns.get(str(name), blank)
    return table


def test_only_training_patients_vertebrae_are_collapsed_for_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [(f"p{n}", f"s{n}", vertebra) for n in range(3) for vertebra in (20, 21)]
    tables = {
        "landmarks": (LANDMARKS, rows_of(LANDMARKS, keys, source="truth")),
        "measurements": (MEASUREMENTS, rows_of(MEASUREMENTS, keys)),
        "crops": (CROPS, rows_of(CROPS, keys, crop=range(6), evaluable=[True, False, True, True, True, True])),
    }
    inputs = {"volumes": "ct", "frames": str(tmp_path / "frames.npy"), "scans": "", "splits": ""}
    np.save(tmp_path / "frames.npy", np.arange(6.0)[:, None, None, None] * np.ones((6, 64, 3, 3)))
    for name, (_, table) in tables.items():
        inputs[name] = name
        tables[name] = (_, table)
    splits = pd.DataFrame(
        {"patient_id": ["p0", "p1", "p2"], "split": ["train", "validation", "test"], "origin": "hash"}
    )
    scans = pd.DataFrame({"scan_id": ["s0", "s1", "s2"], "slice_thickness_mm": [1.0, 2.0, 3.0]})
    known = {id(schema): table for schema, table in tables.values()} | {id(PATIENT_SPLITS): splits, id(SCANS): scans}
    monkeypatch.setattr("vertegrade.tables.read_table", lambda path, schema: known[id(schema)])
    monkeypatch.setattr("vertegrade.ct.volume.read_volume", lambda path: path)
    seen = []

    def collapsed(rng: Any, volume: str, landmarks: Any, measurements: Any, frames: Any, *more: Any) -> list[Any]:
        seen.append((volume, set(landmarks["scan_id"]), set(measurements["scan_id"]), frames, more[1:]))
        loss = np.array([0.3, 0.2, 0.1])
        crop = SimpleNamespace(vertebra=20, shape="wedge", loss=loss, pixels=np.full((5, 64, 64), 7, np.int16))
        return [crop, SimpleNamespace(**vars(crop) | {"shape": "", "loss": 0 * loss})]

    monkeypatch.setattr("vertegrade.virtual_fractures.crops.collapsed_crops", collapsed)
    outputs = {"pixels": str(tmp_path / "made.npy"), "crops": str(tmp_path / "made.parquet")}
    run_script(tmp_path, "collapse_crops", inputs, outputs, sections=["crop", "dae.counterfactual.pairs"])
    ((volume, marked, measured, frames, more),) = seen
    assert (volume, marked, measured, more[0]) == ("ct/s0_ct.nii.gz", {"s0"}, {"s0"}, 1.0)
    assert list(frames) == [20]  # the other one is not evaluable
    assert (frames[20] == 0).all()
    found = pd.read_parquet(tmp_path / "made.parquet")
    assert found["crop"].tolist() == [0, 1]
    assert found[list(LOSSES)].to_numpy().tolist() == [[0.3, 0.2, 0.1], [0, 0, 0]]
    assert np.load(tmp_path / "made.npy").shape == (2, 5, 64, 64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Hyperplane, Calibration, Novelty]:
    """Files of a cohort and of what was fitted to it, and the same in memory."""
    folder = tmp_path_factory.mktemp("model")
    latents, labels, splits = cohort(patients=50, vertebrae=6, dimensions=6, seed=3)
    plane = fit_hyperplane(latents, labels, splits, GradingSettings(), 1)
    calibration = calibrate(latents, labels, splits, plane, GradingSettings(), 1)
    novelty = fit_novelty(latents, appearance_of(latents), splits, plane, calibration)
    latents.to_parquet(folder / "latents.parquet", index=False)
    appearance_of(latents).to_parquet(folder / "appearance.parquet", index=False)
    splits.to_csv(folder / "splits.tsv", sep="\t", index=False)
    for name, fitted in {"hyperplane": plane, "calibrator": calibration, "novelty": novelty}.items():
        write_json(folder / f"{name}.json", fitted.to_dict())
    return folder, (latents, splits), plane, calibration, novelty


def graded(folder: Path, out: Path, withhold: bool, **changed: str) -> pd.DataFrame:
    """PREDICTIONS that the script `grade` writes."""
    names = {name: f"{name}.json" for name in ("hyperplane", "calibrator", "novelty")} | {"splits": "splits.tsv"}
    inputs: dict[str, Any] = {name: str(folder / file) for name, file in names.items()}
    inputs |= {"latents": [str(folder / "latents.parquet")], "appearance": [str(folder / "appearance.parquet")]}
    outputs, of = {"predictions": str(out / "dae.parquet")}, {"method": "dae"}
    run_script(out, "grade", inputs | changed, outputs, {"withhold": withhold}, of)
    return read_table(out / "dae.parquet", PREDICTIONS)


@pytest.mark.parametrize("withhold", [True, False])
def test_each_vertebra_and_its_patient_are_graded_and_what_is_novel_is_withheld_where_asked(
    tmp_path: Path, model: tuple[Path, Any, Hyperplane, Calibration, Novelty], withhold: bool
) -> None:
    folder, (latents, splits), plane, calibration, novelty = model
    judged = with_novelty(
        predict(latents, plane, calibration, splits, "dae"), latents, appearance_of(latents), novelty, withhold
    )
    wanted = with_patients(judged, calibration)
    pd.testing.assert_frame_equal(graded(folder, tmp_path, withhold), wanted)
    assert wanted["evaluable"].all() != withhold
    assert set(wanted["patient_fractured"]) == {0, 1}


def test_novelty_of_another_calibration_is_refused(
    tmp_path: Path, model: tuple[Path, Any, Hyperplane, Calibration, Novelty]
) -> None:
    strange = model[4].to_dict() | {"calibrator_sha256": "0" * 64}
    write_json(tmp_path / "novelty.json", strange)
    with pytest.raises(GradingError, match="novelty belongs to another calibration"):
        graded(model[0], tmp_path, True, novelty=str(tmp_path / "novelty.json"))


def judged_by(folder: Path) -> tuple[dict[str, Any], Any]:
    """Files of a synthetic cohort, as evaluation reads them, and the cohort."""
    made = make_cohort(20)
    for name in ("dae", "pca", "labels", "crops", "scans"):
        getattr(made, name).to_parquet(folder / f"{name}.parquet", index=False)
    made.splits.to_csv(folder / "splits.tsv", sep="\t", index=False)
    files: dict[str, Any] = {"labels": str(folder / "labels.parquet"), "splits": str(folder / "splits.tsv")}
    return files | {name: [str(folder / f"{name}.parquet")] for name in ("scans", "crops")}, made


def test_differences_are_those_of_the_method_from_its_baseline(tmp_path: Path) -> None:
    files, _ = judged_by(tmp_path)
    sections = ["evaluation", "grading.fracture_grade"]
    aucs = {}
    for method in ("dae", "pca"):
        outputs = {"metrics": str(tmp_path / f"{method}.json"), "table": str(tmp_path / f"{method}.tsv")}
        inputs = files | {"predictions": str(tmp_path / f"{method}.parquet")}
        run_script(
            tmp_path,
            "evaluate",
            inputs,
            outputs,
            params={"subjects": {}},
            wildcards={"method": method},
            sections=sections,
        )
        metrics = json.loads((tmp_path / f"{method}.json").read_text())
        assert metrics["method"] == method
        aucs[method] = metrics["splits"]["test"]["vertebra"]["auc"]["value"]
    inputs = files | {"predictions": str(tmp_path / "dae.parquet"), "baseline": str(tmp_path / "pca.parquet")}
    outputs = {"differences": str(tmp_path / "differences.json")}
    of = {"params": {"baseline": "pca"}, "wildcards": {"method": "dae"}, "sections": sections}
    run_script(tmp_path, "differences", inputs, outputs, **of)
    found = json.loads((tmp_path / "differences.json").read_text())
    assert found["methods"] == ["dae", "pca"]
    assert found["vertebra"]["auc"]["value"] == pytest.approx(aucs["dae"] - aucs["pca"])
    with pytest.raises(EvaluationError, match="predictions of dae where those of pca belong"):
        run_script(tmp_path, "differences", inputs | {"baseline": inputs["predictions"]}, outputs, **of)


def test_the_same_image_in_two_splits_stops_the_run(tmp_path: Path) -> None:
    _, made = judged_by(tmp_path)
    scans = made.scans.assign(image_sha256=made.scans["image_sha256"].where(made.scans.index > 1, "f" * 64))
    scans.to_parquet(tmp_path / "scans.parquet", index=False)
    given = dict(zip(made.splits["patient_id"], made.splits["split"], strict=True))
    inputs = {"scans": [str(tmp_path / "scans.parquet")], "official": []}
    outputs = {"splits": str(tmp_path / "out.tsv")}
    with pytest.raises(LeakageError, match="the same image ffffffffffff is in several splits"):
        run_script(tmp_path, "split", inputs, outputs, {"given": given}, sections=["cohort.splits"])
    made.scans.to_parquet(tmp_path / "scans.parquet", index=False)
    run_script(tmp_path, "split", inputs, outputs, {"given": given}, sections=["cohort.splits"])
    found = read_table(tmp_path / "out.tsv", PATIENT_SPLITS)
    assert dict(zip(found["patient_id"], found["split"], strict=True)) == given


def test_labels_of_another_patient_than_the_scans_stop_the_run(tmp_path: Path) -> None:
    files, _ = judged_by(tmp_path)
    (tmp_path / "labels.csv").write_text("patient_id,scan_id,vertebra,genant_grade\nP001,P000-1,L1,1\n")
    inputs = {"tables": [str(tmp_path / "labels.csv")], "crops": files["crops"], "splits": files["splits"]}
    outputs = {"labels": str(tmp_path / "out.parquet"), "coverage": str(tmp_path / "out.tsv")}
    with pytest.raises(LabelError, match="P000-1"):
        run_script(tmp_path, "labels", inputs, outputs)


@pytest.mark.parametrize("limit", [200, 3, 0])
def test_pictures_are_of_test_vertebrae_and_held_against_training_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Two shards. Of the training vertebrae, those that are evaluable, each once. Beside them suspicious ones."""
    _, made = judged_by(tmp_path)
    inputs: dict[str, Any] = dict.fromkeys(("weights", "steps", "hyperplane", "calibrator", "refiner"), "nothing")
    keys = made.crops[["patient_id", "scan_id", "vertebra"]]
    numbered = np.arange(len(keys), dtype=np.float32)
    latents = made.crops[["patient_id", "scan_id", "vertebra", "crop", "evaluable", "reason"]]
    latents = latents.assign(model_sha256="a" * 64, z=list(numbered[:, None]))
    measured = rows_of(MEASUREMENTS, list(keys.itertuples(index=False, name=None)), evaluable=True)
    half = made.crops["scan_id"] < "P010-1"
    parts = {"latents": (LATENTS, latents), "measurements": (MEASUREMENTS, measured)}
    grades = grade_table({"dae": made.dae})
    known = {"predictions": made.dae, "grades": grades}
    for shard, rows in enumerate((half, ~half)):
        known |= {f"{name}{shard}": table[rows] for name, (_, table) in parts.items()}
    inputs |= {name: [f"{name}0", f"{name}1"] for name in parts}
    inputs |= {"predictions": "predictions", "grades": "grades", "landmarks": [], "pixels": [], "frames": []}
    monkeypatch.setattr("vertegrade.tables.read_table", lambda path, schema: known[path])
    together = {str(inputs[name]): table for name, (_, table) in parts.items()} | {"[]": None}
    monkeypatch.setattr("vertegrade.tables.read_tables", lambda paths, schema: together[str(list(paths))])
    for name in ("files.read_json", "localizer.networks.load_refiner", "graders.dae.instruments.instruments"):
        monkeypatch.setattr(f"vertegrade.{name}", lambda *_: None)
    for owner in ("hyperplane.Hyperplane", "calibration.Calibration"):
        monkeypatch.setattr(f"vertegrade.grading.{owner}.from_dict", lambda _: None)
    steps = SimpleNamespace(vertebrae=9, patients=9, explained=0.5, scale=np.ones(1))
    monkeypatch.setattr("vertegrade.graders.dae.steps.Steps.read", lambda _: steps)
    dae = SimpleNamespace(settings=SimpleNamespace(image_channels=1))
    monkeypatch.setattr("vertegrade.graders.dae.weights.load_dae", lambda *_: dae)
    seen: list[dict[str, Any]] = []

    def shown(rows: pd.DataFrame, *more: Any) -> None:
        seen.append({"rows": rows})

    def drawn(*arguments: Any) -> Any:
        size = len(seen[-1]["rows"])
        nothing = np.zeros((size, 1, 4, 4), np.int16)
        return SimpleNamespace(
            original=nothing, reconstruction=nothing, images=nothing[:, None], own=np.ones((size, 1))
        )

    def table(rows: Any, wanted: Any, pictures: Any, shown: Any, scale: Any, training: Any, beside: Any) -> None:
        seen[-1] |= {"training": training, "beside": beside}

    def write(path: str, images: np.ndarray) -> None:
        assert len(images) == sum(len(drawing["rows"]) for drawing in seen)
        raise Seen

    monkeypatch.setattr("vertegrade.graders.dae.shown.shown_vertebrae", shown)
    monkeypatch.setattr("vertegrade.graders.dae.counterfactual.counterfactuals", drawn)
    monkeypatch.setattr("vertegrade.evaluation.counterfactual.counterfactual_table", table)
    monkeypatch.setattr("vertegrade.arrays.write_array", write)
    outputs = {name: str(tmp_path / name) for name in ("images.npy", "strips", "metrics")}
    outputs["images"] = outputs.pop("images.npy")
    settings = CounterfactualSettings(vertebrae=20, suspicious=limit).model_dump()
    params = {"settings": {"crop": CropSettings().model_dump(), "dae.counterfactual": settings}}
    with pytest.raises(Seen):
        run_script(tmp_path, "counterfactual", inputs, outputs, params)
    first, second = seen
    key = ["patient_id", "scan_id", "vertebra"]
    test = made.dae[(made.dae["split"] == "test") & made.dae["evaluable"]]
    assert len(first["rows"].merge(test, on=key)) == len(first["rows"]) == 20
    assert first["beside"] is None
    assert second["beside"].shape == (20, 1)
    train = (made.dae["split"] == "train") & made.dae["evaluable"]
    for drawing in seen:
        assert (drawing["rows"]["shard"] == (drawing["rows"]["scan_id"] >= "P010-1")).all()
        np.testing.assert_array_equal(np.sort(drawing["training"][:, 0]), numbered[train.to_numpy()])
    left = suspicious_vertebrae(grades).merge(first["rows"][key], on=key, how="left", indicator=True)
    left = left[left["_merge"] == "left_only"].merge(latents.loc[latents["evaluable"], key], on=key)
    assert len(left) > 3
    pd.testing.assert_frame_equal(second["rows"][key], left[key].head(limit))
