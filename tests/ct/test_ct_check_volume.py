"""The check after conversion: what reading might have got wrong is found in the result."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.series import body_hu
from vertegrade.ct.converted import Converted, check_volume
from vertegrade.ct.volume import Volume
from vertegrade.reasons import Notes, Refused

HU = body_hu(12, 10, 8).T.astype(np.int16)
AFFINE = np.diag([0.9, 0.7, 1.5, 1.0])


def converted(hu: np.ndarray = HU, affine: np.ndarray = AFFINE) -> Converted:
    return Converted(Volume(hu, affine), 12, 1.5, 1.5, 0.9, (8, 10, 12), "LPS", Notes())


def test_a_sound_volume_passes() -> None:
    good = converted()
    check_volume(good)
    assert (good.notes.warnings, good.notes.flags) == ([], set())


FAULTS = {
    "left-handed": (converted(affine=np.diag([-0.9, 0.7, 1.5, 1])), "bad_affine"),
    "turned around": (converted(affine=np.diag([-0.9, -0.7, 1.5, 1])), "bad_affine"),
    "singular": (converted(affine=np.diag([0, 0.7, 1.5, 1])), "bad_affine"),
    "not RAS": (converted(HU.transpose(1, 0, 2), AFFINE[[1, 0, 2, 3]][:, [0, 1, 2, 3]]), "bad_affine"),
    "other spacing": (converted(affine=np.diag([0.9, 0.7, 2.0, 1])), "bad_affine"),
    "other pixels": (converted(affine=np.diag([0.8, 0.7, 1.5, 1])), "bad_affine"),
    "a slice fewer": (converted(HU[:, :, :-1]), "lost_slices"),
    "fewer than its slices": (replace(converted(), slices=13), "lost_slices"),
    "too long": (
        replace(converted(np.tile(HU[:1, :1], (1, 1, 3000))), slices=36000, source_shape=(1, 1, 36000)),
        "too_large",
    ),
    "tiny voxels": (
        replace(converted(affine=np.diag([0.9, 0.01, 1.5, 1])), pixel_mm=0.9),
        "bad_affine",
    ),
    "huge voxels": (replace(converted(affine=np.diag([0.9, 0.7, 25, 1])), slice_spacing_mm=25.0), "bad_affine"),
    "constant": (converted(np.full_like(HU, 7)), "implausible_hu"),
    "lost intercept": (converted(HU + np.int16(1024)), "implausible_hu"),
    "air alone": (converted(HU // 10 - np.int16(900)), "implausible_hu"),
}


@pytest.mark.parametrize(("bad", "reason"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_found(bad: Converted, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        check_volume(bad)
    assert caught.value.reason == reason


def test_air_that_lies_elsewhere_is_told() -> None:
    hu = HU.copy()
    hu[hu < -900] -= 80
    shifted = converted(hu)
    check_volume(shifted)
    assert shifted.notes.warnings[0].startswith("air lies at -10")


def test_padding_is_no_air() -> None:
    hu = HU.copy()
    hu[:, :3] = -3024
    padded = converted(hu)
    check_volume(padded)
    assert padded.notes.warnings == []
