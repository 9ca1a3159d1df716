"""Series whose files an anonymiser gave UIDs of their own."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from helpers.bad_inputs import InShard
from helpers.series import body_hu, positions, write_series
from vertegrade.ct.headers import series_code

UIDS = ["SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"]


def write(folder: Path, own: list[str], kernel: str = "B30f", seed: int = 0, **options: object) -> Path:
    """A series whose files have these UIDs each for itself."""

    def change(dataset: Dataset, index: int) -> None:
        dataset.ConvolutionKernel = kernel
        for name in own:
            setattr(dataset, name, generate_uid(entropy_srcs=[name, kernel, str(index)]))

    return write_series(folder, body_hu(14, seed=seed), change=change, **options)


@pytest.mark.parametrize("names", [UIDS, UIDS[:1], UIDS[2:]], ids=["all", "series", "frame of reference"])
def test_files_with_uids_of_their_own_are_one_series(  # field test B4
    names: list[str], tmp_path: Path, in_shard: InShard
) -> None:
    plain = in_shard(write(tmp_path / "plain", []))
    state = in_shard(write(tmp_path / "in", names))
    assert (state["state"], state["slices"], state["flags"]) == ("done", 14, "joined"), state
    assert state["image_sha256"] == plain["image_sha256"]
    assert all(name in state["warnings"] for name in names)


def test_reconstructions_with_uids_of_their_own_are_told_apart(  # field test B4
    tmp_path: Path, in_shard: InShard
) -> None:
    write(tmp_path / "in", UIDS, "B70f", 1, names=[f"sharp{n}.dcm" for n in range(14)])
    folder = write(tmp_path / "in", UIDS)
    assert in_shard(folder)["reason"] == "several_series"
    state = in_shard(folder, choose_series="soft")
    assert (state["slices"], state["kernel"], state["flags"]) == (14, "B30f", "chosen_series joined")
    least = min(str(generate_uid(entropy_srcs=["SeriesInstanceUID", "B70f", str(n)])) for n in range(14))
    assert in_shard(folder, series=series_code(least))["kernel"] == "B70f"


def test_images_of_their_own_that_are_no_stack_are_not_read(tmp_path: Path, in_shard: InShard) -> None:
    places = positions(14)
    places[5:] += [0, 0, 20]
    state = in_shard(write(tmp_path / "in", UIDS, places=places))
    assert state["reason"] == "uneven_spacing"


def test_two_frames_of_reference_are_two(tmp_path: Path, in_shard: InShard) -> None:
    def change(dataset: Dataset, index: int) -> None:
        dataset.FrameOfReferenceUID = f"1.2.{1 + index // 7}"

    assert in_shard(write_series(tmp_path / "in", body_hu(14), change=change))["reason"] == "inconsistent_slices"
