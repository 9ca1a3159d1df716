"""Series whose one UID holds several passes over the patient: refused where they lie between each other, else read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset
from scipy import ndimage

from helpers.bad_inputs import InShard
from helpers.enhanced import write_enhanced
from helpers.lidc import lidc_folder
from helpers.series import body_hu, write_series
from helpers.shared import SHARED, needs_shared
from vertegrade.ct.passes import check_alike, seconds, turns
from vertegrade.ct.volume import to_ras
from vertegrade.reasons import Refused

SLICES = 24
Values = Callable[[int], Any]


def write(folder: Path, **values: Values) -> Path:
    """A series of SLICES whose tags have the values of these functions of the slice's number from the feet."""

    def change(dataset: Dataset, index: int) -> None:
        for name, value in values.items():
            setattr(dataset, name, value(index))

    return write_series(folder, body_hu(SLICES), change=change)


def clock(second: float) -> str:
    return f"1015{second:09.6f}"


# What headers say of two passes whose slices lie between each other, by what they say it with.
PASSES: dict[str, dict[str, Values]] = {
    "AcquisitionNumber": {"AcquisitionNumber": lambda i: i % 2},
    "AcquisitionNumber in an overlap": {"AcquisitionNumber": lambda i: 1 if i < 8 else 2 if i >= 16 else 1 + i % 2},
    "ConvolutionKernel": {"ConvolutionKernel": lambda i: "B30f" if i % 2 else ["B70f", "3"]},
    "KVP": {"KVP": lambda i: 80 if i % 2 else 140},
    "ContrastBolusAgent": {"ContrastBolusAgent": lambda i: "Agent" if i % 2 else ""},
    "AcquisitionTime": {"AcquisitionTime": lambda i: clock(0.25 * i + 30 * (i % 2))},
    "a way there and back": {"AcquisitionTime": lambda i: clock(0.5 * i if i % 2 else 50 - 0.5 * i)},
    "AcquisitionTime of pairs": {"AcquisitionTime": lambda i: clock(0.25 * i + 20 * (i // 2 % 2))},
    "AcquisitionDateTime": {
        "AcquisitionTime": lambda i: "",
        "AcquisitionDateTime": lambda i: f"2020010{1 + i % 2}101500.00+0100",
    },
    "ContentTime": {"ContentTime": lambda i: clock(0.25 * i + 50 * (i % 2))},
}


@pytest.mark.parametrize("values", PASSES.values(), ids=PASSES.keys())
def test_passes_that_lie_between_each_other_are_refused(  # field test A6
    values: dict[str, Values], tmp_path: Path, in_shard: InShard
) -> None:
    state = in_shard(write(tmp_path / "in", **values))
    assert (state["state"], state["reason"]) == ("excluded", "interleaved_passes")
    assert any(tag in state["message"] for tag in values)
    assert "lie between each other; separate them and give one" in state["message"]


# What headers of one good stack may say, by the scanner's way to work.
STACKS: dict[str, dict[str, Values]] = {
    "acquisitions that follow one another": {
        "AcquisitionNumber": lambda i: 1 + i // 8,
        "AcquisitionTime": lambda i: clock(i // 8 * 20),
        "ContrastBolusAgent": lambda i: "Agent" if i >= 8 else "",
    },
    "each scanned the other way than the last": {
        "AcquisitionNumber": lambda i: 1 + i // 8,
        "AcquisitionTime": lambda i: clock(i // 8 * 20 + (i % 8 if i // 8 % 2 else 8 - i % 8)),
    },
    "scanned from the head": {"AcquisitionNumber": lambda i: 3 - i // 8, "AcquisitionTime": lambda i: clock(50 - i)},
    "step and shoot, four slices a turn": {
        "AcquisitionNumber": lambda i: 1 + i // 4,
        "AcquisitionTime": lambda i: clock(i // 4 * 4),
    },
    "a number for each slice": {"AcquisitionNumber": lambda i: 1 + i, "AcquisitionTime": lambda i: clock(1.5 * i)},
    "a spiral whose slices were reconstructed in any order": {
        "AcquisitionTime": lambda i: clock(0.25 * i),
        "ContentTime": lambda i: clock(i * 7 % SLICES * 2),
    },
    "gated by the heart": {"AcquisitionTime": lambda i: clock(0.5 * i + i * 5 % 3 * 0.7)},
    "reconstructed by several computers, no acquisition time": {
        "AcquisitionTime": lambda i: "",
        "ContentTime": lambda i: clock(0.5 * i + 9 * (i % 3)),
    },
    "times that are none": {"AcquisitionTime": lambda i: "", "ContentTime": lambda i: "10:15" if i % 2 else "noon"},
    "numbers that some slices lack": {"AcquisitionNumber": lambda i: 1 + i // 8 if i % 3 else None},
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("values", STACKS.values(), ids=STACKS.keys())
def test_a_stack_of_one_pass_or_of_acquisitions_that_follow_one_another_is_read(  # field test A6
    values: dict[str, Values], tmp_path: Path, in_shard: InShard
) -> None:
    state = in_shard(write(tmp_path / "in", **values))
    assert (state["state"], state["slices"]) == ("done", SLICES), state


FRAMES: dict[str, Values] = {
    "FrameAcquisitionNumber": lambda i: 1 + i % 2,
    "FrameAcquisitionDateTime": lambda i: f"202001011015{i % 2 * 40 + i * 0.2:05.2f}",
    "StackID": lambda i: f"{1 + i % 2}",
    "TemporalPositionIndex": lambda i: 1 + i % 2,
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_of_an_enhanced_ct_lie_between_each_other_too(  # field test A6
    name: str, tmp_path: Path, in_shard: InShard
) -> None:
    contents = [{name: FRAMES[name](i)} for i in range(SLICES)]
    state = in_shard(write_enhanced(tmp_path / "in", body_hu(SLICES), contents=contents))
    assert state["reason"] == "interleaved_passes"
    order = sorted(range(SLICES), key=lambda i: i % 2)  # the same, one after the other
    follow = [{name: FRAMES[name](order[i])} for i in range(SLICES)]
    assert in_shard(write_enhanced(tmp_path / "good", body_hu(SLICES), contents=follow))["state"] == "done"


def test_passes_so_near_that_the_stack_is_uneven_are_called_passes(tmp_path: Path, in_shard: InShard) -> None:  # A6
    places = np.repeat([[0.0, 0.0, 1.5]], SLICES, axis=0) * np.arange(SLICES)[:, None]
    places[1::2, 2] -= 1.2

    def change(dataset: Dataset, index: int) -> None:
        dataset.AcquisitionNumber = 1 + index % 2

    folder = write_series(tmp_path / "in", body_hu(SLICES), places, change=change)
    assert in_shard(folder, resample_spacing=True)["reason"] == "interleaved_passes"


def tissue(slices: int = 30) -> np.ndarray:
    """HU (slices, 64, 64) of smooth structures, with noise."""
    rng = np.random.default_rng(4)
    smooth = ndimage.gaussian_filter(rng.normal(0, 1, (slices, 64, 64)), 4)
    hu = 200 + 300 * smooth / smooth.std() + rng.normal(0, 30, smooth.shape)
    hu[:, :10] = -1000
    return np.rint(hu).clip(-1000).astype(int)


@pytest.mark.parametrize("kind", ["DICOM", "NIfTI"])
def test_a_patient_who_moved_between_passes_is_seen_in_the_image(  # field test A6
    kind: str, tmp_path: Path, in_shard: InShard
) -> None:
    def write_as(name: str, hu: np.ndarray) -> Path:
        if kind == "DICOM":
            return write_series(tmp_path / name, hu)
        image = nib.Nifti1Image(hu.T.astype(np.int16), np.diag([0.9, 0.7, 1.5, 1.0]))
        nib.save(image, tmp_path / f"{name}.nii.gz")
        return tmp_path / f"{name}.nii.gz"

    hu = tissue()
    assert in_shard(write_as("good", hu))["state"] == "done"
    hu[1::2] = np.roll(hu[1::2], 8, axis=2)
    state = in_shard(write_as("mixed", hu))
    assert state["reason"] == "interleaved_passes"
    assert "neighbouring slices differ by" in state["message"]


@pytest.mark.shared
@needs_shared
@pytest.mark.parametrize("mm", [0, 6])
def test_slices_of_real_scans_are_alike_until_every_second_one_moves(mm: int) -> None:  # field test A6
    files = [*SHARED.glob("**/*_ct.nii.gz"), *([lidc_folder() / "cxr.nii.gz"] if lidc_folder() else [])]
    assert len(files) >= 12
    for file in files:
        image = nib.load(file)
        hu, affine = to_ras(np.asanyarray(image.dataobj), image.affine)
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        hu[:, :, 1::2] = np.roll(hu[:, :, 1::2], round(mm / spacing[1]), axis=1)
        if mm:
            with pytest.raises(Refused, match="every second one"):
                check_alike(hu, 2)
        else:
            check_alike(hu, 2)


def test_turns_are_counted_beyond_the_tolerance() -> None:
    assert turns([0, 1, 2, 3, 9], 2) == 0
    assert turns([9, 8, 8.5, 7, 0], 2) == 0
    assert turns([0, 5, 0, 5, 0], 2) == 3
    assert turns([0, 5, 4, 5, 4, 9], 2) == 0
    assert turns([0, 1, 0, 1], 2) == 0


def test_times_in_seconds() -> None:
    assert seconds("101500") == (10 * 60 + 15) * 60
    assert seconds("101500.25") == (10 * 60 + 15) * 60 + 0.25
    assert seconds("20200102101500.5+0100") == ((2 * 24 + 10) * 60 + 15) * 60 + 0.5
    assert [seconds(value) for value in (None, "", "10:15:00", "1015", "20200102", "noon")] == [None] * 6
