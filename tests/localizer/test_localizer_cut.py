"""Real CT cut through bodies, by the file's edge or by a filling: the shipped networks grade none of the cut ones."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.outside import fill_outside
from vertegrade.ct.volume import Volume, mm_to_voxel, to_ras
from vertegrade.localizer.landmarks import learned_landmarks
from vertegrade.localizer.networks import Localizer, load_localizer
from vertegrade.reasons import Notes
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.tables import CENTRE_COLUMNS, POINT_COLUMNS

ROOT = Path(__file__).parents[2]
UNLABELLED = ROOT.parent / "shared" / "data" / "unlabelled"
NEAR_MM, OUTSIDE_MM, INSIDE_MM, WHOLE_MM = 12.0, 0.5, 1.0, 8.0
UP, FRONT = 2, 1


@pytest.fixture(scope="module")
def localizer() -> Localizer:
    return load_localizer(ROOT / "models" / "localizer", "cpu")


def found_in(volume: Volume, localizer: Localizer) -> pd.DataFrame:
    return learned_landmarks(ScanRow("s1", "p1", ""), volume, localizer, LocalizeSettings())


def kept(volume: Volume, axis: int, plane: int, below: bool, filling: int | None) -> Volume:
    """The scan on one side of a plane: the rest is away, or filled as conversion leaves it."""
    away = [slice(None)] * 3
    away[axis] = slice(plane, None) if below else slice(None, plane)
    if filling is not None:
        hu = volume.hu.copy()
        hu[tuple(away)] = filling
        fill_outside(hu, UP, float(np.prod(volume.spacing_mm)), Notes())
        return Volume(hu, volume.affine)
    there = [slice(None)] * 3
    there[axis] = slice(None, plane) if below else slice(plane, None)
    affine = volume.affine.copy()
    affine[:3, 3] += 0 if below else plane * affine[:3, axis]
    return Volume(np.ascontiguousarray(volume.hu[tuple(there)]), affine)


CUTS = [
    ("lidc0314-upper", UP, 62, True, None),
    ("lungfcp0001", UP, 39, False, None),
    ("crlm1004", FRONT, 145, True, -1024),
    ("crlm1004", FRONT, 150, True, 0),
]


@pytest.mark.shared
@pytest.mark.skipif(not UNLABELLED.is_dir(), reason=f"{UNLABELLED} is absent")
@pytest.mark.parametrize(("name", "axis", "plane", "below", "filling"), CUTS)
def test_no_cut_body_is_graded_and_whole_ones_stay(  # field test A8
    name: str, axis: int, plane: int, below: bool, filling: int | None, localizer: Localizer
) -> None:
    image = nib.load(UNLABELLED / f"{name}_ct.nii.gz")
    volume = Volume(*to_ras(np.asanyarray(image.dataobj), image.affine))
    before = found_in(volume, localizer)
    after = found_in(kept(volume, axis, plane, below, filling), localizer)
    cut = 0
    for body in before[before["evaluable"]].to_dict("records"):
        voxels = mm_to_voxel(volume.affine, np.reshape([body[name] for name in POINT_COLUMNS], (6, 3)))[:, axis]
        room = ((plane - 0.5) - voxels if below else voxels - (plane - 0.5)) * volume.spacing_mm[axis]
        apart = np.linalg.norm(after[CENTRE_COLUMNS] - [body[name] for name in CENTRE_COLUMNS], axis=1)
        graded = bool(after["evaluable"][apart < NEAR_MM].any())
        if room.min() < -OUTSIDE_MM and room.max() > INSIDE_MM:
            cut += 1
            assert not graded, body["vertebra"]
        elif room.min() > WHOLE_MM:
            assert graded, body["vertebra"]
    assert cut
