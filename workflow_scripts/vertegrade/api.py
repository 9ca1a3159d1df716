"""Grades in a notebook or a program: the functions that the rules call, without a workflow and without files.

    from vertegrade import grade_scan

    table = grade_scan("/data/ct/scan1")

The same scan gets the same grades as from the workflow. No rule imports this. Research use only, not a medical device.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vertegrade.annotations.overrides import OVERRIDES
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.convert import read_scan
from vertegrade.ct.volume import Volume, as_stored
from vertegrade.files import read_json
from vertegrade.frozen import SIGHT, methods_in, sight_folder
from vertegrade.graders.dae.latents import dae_latents
from vertegrade.graders.dae.weights import Dae, load_dae
from vertegrade.graders.fusion.latents import fused_latents
from vertegrade.graders.keypoints.latents import keypoint_latents
from vertegrade.grading.appearance import appearance_table
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.grades import grade_table
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.novelty import Novelty
from vertegrade.grading.prediction import predict, with_novelty, with_patients
from vertegrade.localizer.scan import Finder, finder, localize_scan
from vertegrade.localizer.sight.see import Sight, load_sight
from vertegrade.methods import INTACT_HEIGHTS, METHODS
from vertegrade.model_files import ModelFileError
from vertegrade.preflight.start import opened, points_from
from vertegrade.reasons import Notes
from vertegrade.settings import Settings
from vertegrade.spine.crop import crop_scan
from vertegrade.spine.indices import measure
from vertegrade.spine.intact_heights import IntactHeights, read_intact_heights
from vertegrade.tables import empty_table
from vertegrade.workflow.job import device_of

ROOT = Path(__file__).resolve().parents[2]
NAMELESS = ScanRow("scan", "scan", "")
Grader = tuple[Hyperplane, Calibration, Novelty]


@dataclass(frozen=True)
class OpenModel:
    """A model in memory, for any number of scans. graders: what grades by method, the main one first."""

    settings: Settings
    find: Finder
    sight: Sight
    dae: Dae
    heights: IntactHeights
    graders: dict[str, Grader]


@dataclass(frozen=True)
class Graded:
    """What was made of one volume.

    landmarks, crops: tables LANDMARKS and CROPS. pixels: int16 HU (N, S, H, W) of the crops, in their order.
    predictions: table PREDICTIONS by method.
    """

    landmarks: pd.DataFrame
    crops: pd.DataFrame
    pixels: np.ndarray
    predictions: dict[str, pd.DataFrame]


def grade_scan(path: str | Path, model: "str | Path | OpenModel" = "shipped", series: str = "") -> pd.DataFrame:
    """Find and grade the vertebrae of one scan: GRADE_TABLE, the rows that `make grade` writes into grades.csv.

    path: a DICOM folder, a zip of one, or a NIfTI. model: as for `open_model`, or one that is open already. series:
    which series of the folder is meant where it has several (column `series` of a sample sheet). Refused: the scan
    cannot be used; the message says why and what to do. ModelFileError: the model cannot be used.
    """
    ready = model if isinstance(model, OpenModel) else open_model(model)
    scan = read_scan(Path(path), ready.settings.ct, series)
    graded = grade_volume(scan.volume, ready, scan.notes.flags, scan.slice_thickness_mm)
    return grade_table(graded.predictions)


def open_model(model: str | Path = "shipped", device: str = "auto") -> OpenModel:
    """Read a model into memory; ModelFileError with all that is wrong with it.

    model: `shipped`, a frozen model, or the results folder of a finished run. device: `cpu`, `cuda`, or `auto` for a
    GPU if there is one.
    """
    settings, problems = opened(str(model), ROOT)
    if problems:
        raise ModelFileError("\n".join(problems))
    folder, shipped = settings.run.model, ROOT / "models/localizer"
    where = device_of(device)
    return OpenModel(
        settings,
        finder(settings.localize, Path(settings.localize.weights or shipped), where),
        load_sight(f"{sight_folder(folder, str(shipped))}/{SIGHT}"),
        load_dae(Path(folder, METHODS["dae"].weights), where),
        read_intact_heights(Path(folder, INTACT_HEIGHTS)),
        {
            method: _grader(Path(folder, "grading", method))
            for method in methods_in(folder)
            if METHODS[method].latents  # those with scores of their own grade in the workflow alone
        },
    )


def _grader(folder: Path) -> Grader:
    hyperplane, calibrator, novelty = (
        read_json(folder / f"{name}.json") for name in ("hyperplane", "calibrator", "novelty")
    )
    calibration, fitted = Calibration.from_dict(calibrator), Novelty.from_dict(novelty)
    fitted.check(calibration)
    return Hyperplane.from_dict(hyperplane), calibration, fitted


def grade_volume(
    volume: Volume,
    model: OpenModel,
    flags: Collection[str] = (),
    slice_thickness_mm: float = math.nan,
    row: ScanRow = NAMELESS,
) -> Graded:
    """Find and grade the vertebrae of a volume that is in memory, as the workflow does but for rounding (1e-9).

    volume: checked as `ct.convert.read_scan` does it. flags: of the scan (reasons.FLAGS). slice_thickness_mm: NaN where
    unknown; no grade depends on it. row: names of scan and patient, and centroids or a mask for a model whose vertebrae
    were given. Refused: no vertebra is found, or the image contradicts what is given.
    """
    stored = as_stored(volume)
    notes = Notes(flags=set(flags))
    landmarks = localize_scan(row, stored, model.find, empty_table(OVERRIDES), model.sight, notes)
    pixels, _, crops = crop_scan(stored, landmarks, model.settings.crop, slice_thickness_mm)
    splits = pd.DataFrame({"patient_id": [row.patient_id], "split": ["test"], "origin": ["given"]})
    withhold = model.settings.grading.novel != "flag"
    looks = appearance_table(crops, pixels)
    predictions = {}
    for method, (hyperplane, calibration, novelty) in model.graders.items():
        latents = LATENTS[method](model, landmarks, crops, pixels)
        graded = predict(latents, hyperplane, calibration, splits, method)
        judged = with_novelty(graded, latents, looks, novelty, withhold)
        predictions[method] = with_patients(judged, calibration)
    return Graded(landmarks, crops, pixels, predictions)


def _of_dae(model: OpenModel, landmarks: pd.DataFrame, crops: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
    return dae_latents(model.dae, crops, pixels, model.settings.dae.encode.batch_size)


def _of_keypoints(model: OpenModel, landmarks: pd.DataFrame, crops: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
    return keypoint_latents(measure(landmarks, model.heights), points_from(model.settings), model.heights.sha256)


def _of_both(model: OpenModel, landmarks: pd.DataFrame, crops: pd.DataFrame, pixels: np.ndarray) -> pd.DataFrame:
    parts = (_of_dae, _of_keypoints)
    return fused_latents(*(part(model, landmarks, crops, pixels) for part in parts))


# Table LATENTS of a scan by each method that a model may have.
LATENTS: dict[str, Callable[[OpenModel, pd.DataFrame, pd.DataFrame, np.ndarray], pd.DataFrame]] = {
    "dae": _of_dae,
    "keypoints": _of_keypoints,
    "fusion": _of_both,
}
