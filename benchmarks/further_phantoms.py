"""Straight spines of phantoms that are in no run, for trainings that want more of them than a cohort has.

They are drawn, scanned and straightened in memory, one file each, so that a stopped command goes on. Their vertebrae
lie where they were drawn; a run's lie where the localizer found them.
"""

import logging
from pathlib import Path

import numpy as np

from vertegrade.ct.volume import Volume
from vertegrade.files import new_file
from vertegrade.graders.seq2seq.sequences import SpineScan
from vertegrade.graders.seq2seq.spine import body_heights, body_rows, straight_spine
from vertegrade.localizer.canal.find import find_canal
from vertegrade.localizer.canal.network import CanalNetwork
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.render import render
from vertegrade.phantom.scanner.physics import acquire
from vertegrade.phantom.scanner.protocol import draw_protocol, generator
from vertegrade.phantom.truth import body_table
from vertegrade.reasons import Refused
from vertegrade.settings import Settings

SEED = 4711  # of these patients, and of no run
T1, L6, T13 = 8, 25, 28


def further_spines(folder: Path, count: int, settings: Settings, network: CanalNetwork) -> list[Path]:
    """Files of the phantoms 0 to count - 1 whose canal was found, drawn by settings.phantom."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05d}.npz" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            _draw(path, f"ex{number:05d}", settings, network)
    return [path for path in paths if path.exists()]


def read_spine(path: Path) -> SpineScan:
    """One of these as a training takes it: each vertebra that lies in the spine, with its true grade."""
    saved = np.load(path)
    there = np.isfinite(saved["ends"]).all(axis=1)
    name = f"ex{path.stem}"
    ends, heights, grade = (saved[part][there] for part in ("ends", "heights", "grade"))
    return SpineScan(name, name, saved["pixels"], np.flatnonzero(there), ends, heights, grade)


def _draw(path: Path, name: str, settings: Settings, network: CanalNetwork) -> None:
    patient = draw_patient(name, settings.phantom, SEED)
    protocol = draw_protocol(f"{name}-1", patient, settings.phantom.acquisition, SEED)
    drawn, _ = render(patient, protocol.fine_origin_mm, protocol.fine_shape, protocol.fine_spacing_mm)
    hu = acquire(drawn, protocol, generator(SEED, "acquire", protocol.scan_id))
    volume = Volume(np.ascontiguousarray(hu), protocol.affine)
    truth = body_table(patient, protocol.origin_mm, protocol.shape, protocol.spacing_mm, protocol.scan_id)
    truth = truth[truth["complete"] & (truth["vertebra"].between(T1, L6) | (truth["vertebra"] == T13))]
    try:
        canal = find_canal(volume, network, "cpu")
    except Refused as refusal:
        logging.warning("%s: %s", name, refusal)
        return
    spine = straight_spine(volume, canal, settings.seq2seq.spine)
    ends = body_rows(truth.reset_index(drop=True), spine.frames, settings.seq2seq.spine)
    with new_file(path) as temporary, temporary.open("wb") as file:
        grade = truth["genant_grade"].to_numpy(np.int64)
        np.savez(file, pixels=spine.pixels, ends=ends, heights=body_heights(truth), grade=grade)
