"""Training samples: the truth goes where the image goes, and what is not known counts for nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vertegrade.localizer.centreline.augmentation import random_hu, random_pose
from vertegrade.localizer.centreline.loss import centreline_loss
from vertegrade.localizer.centreline.network import CentrelineNetwork
from vertegrade.localizer.centreline.samples import (
    CentrelineSample,
    centreline_batches,
    centreline_sample,
    spine_at,
    spine_in,
)
from vertegrade.localizer.sample_file import load_sample, save_sample
from vertegrade.phantom.training_scan import training_scan

HEIGHTS = np.arange(-20.0, 200.0, 8.0)


def bodies(labels: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and endplate middles of bodies 20 mm high, 25 mm apart, the lowest from 30 to 50 mm."""
    low = 30 + 25.0 * np.arange(len(labels))[::-1]
    ends = np.zeros((len(labels), 2, 3))
    ends[:, 0, 2], ends[:, 1, 2] = low + 20, low
    return np.array(labels), ends


@pytest.fixture(scope="module")
def sample() -> CentrelineSample:
    return centreline_sample(*training_scan(1, 2, voxels=4_000_000))


def test_the_image_and_the_truth_move_together() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[60.0, 80.0, 200.0], [72.0, 60.0, 120.0], [64.0, 48.0, 60.0]])
    grid = np.stack(np.meshgrid(*[4.0 * np.arange(n) for n in (32, 36, 60)], indexing="ij"), axis=-1)
    hu = np.full(grid.shape[:3], -1000, np.int16)
    for centre in centres:
        hu[np.linalg.norm(grid - centre, axis=-1) < 9] = 1000
    for _ in range(8):
        pose = random_pose(hu.shape, centres, np.array([16, 20, 32]), rng)
        image, moved = pose.resampled(hu).numpy(), pose.to_crop(centres)
        voxels = np.rint(moved / 4).astype(int)
        inside = ((voxels >= 0) & (voxels < image.shape)).all(axis=1)
        assert (image[tuple(voxels[inside].T)] > 700).all()
        assert np.allclose(pose.to_scan(moved), centres)


def test_the_curve_runs_through_the_centres() -> None:
    centres = np.array([[0.0, 5.0, 90.0], [3.0, 8.0, 60.0], [4.0, 4.0, 30.0]])
    assert np.allclose(spine_at(centres, centres[:, 2]), centres[:, :2])


def test_beyond_a_cut_body_there_is_spine_as_far_as_the_scan_goes() -> None:
    exists, sure = spine_in(*bodies([10, 11, 12]), HEIGHTS, HEIGHTS > 0)
    assert sure.all()
    assert np.array_equal(exists, HEIGHTS > 0)


def test_below_the_sacrum_there_is_none() -> None:
    exists, sure = spine_in(*bodies([23, 24, 26]), HEIGHTS, HEIGHTS > -100)
    assert not exists[HEIGHTS < 30].any()
    assert sure[HEIGHTS < 18].all()


def test_above_the_topmost_drawn_body_nothing_is_known() -> None:
    _, sure = spine_in(*bodies([3, 4, 5]), HEIGHTS, HEIGHTS > -100)
    assert not sure[HEIGHTS > 100].any()


def test_a_scan_cut_above_a_topmost_body_without_endplates_is_sure_to_its_end() -> None:
    labels, ends = bodies([3, 4, 5])
    exists, sure = spine_in(labels, np.full_like(ends, np.nan), HEIGHTS, HEIGHTS < 100)
    assert sure.all()
    assert np.array_equal(exists, HEIGHTS < 100)


def test_a_batch_follows_from_its_step(sample: CentrelineSample) -> None:
    first, again, other = (centreline_batches([sample], 4)(step) for step in (7, 7, 8))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[0].shape != other[0].shape or not torch.equal(first[0], other[0])


def test_other_grey_values_keep_the_programs_generator() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    random_hu(torch.zeros(8, 8, 8), np.random.default_rng(0))
    assert torch.equal(torch.rand(2), expected)


def test_a_sample_is_read_as_it_was_written(sample: CentrelineSample, tmp_path: Path) -> None:
    save_sample(tmp_path / "a.line.npz", sample, compressed=True)
    kept = load_sample(tmp_path / "a.line.npz", CentrelineSample)
    for name, array in vars(sample).items():
        assert np.array_equal(getattr(kept, name), array)


def test_unknown_slices_do_not_change_the_loss() -> None:
    torch.manual_seed(0)
    network, image = CentrelineNetwork((8, 8, 8), (1, 1, 1)), torch.randn(1, 1, 16, 16, 16)
    known = torch.ones(1, 8, 2)
    known[:, 5:] = 0
    positions, exists = torch.full((1, 8, 2), 30.0), torch.ones(1, 8)
    before = centreline_loss(network, image, positions, exists, known)
    positions[:, 5:], exists[:, 5:] = 999.0, 0.0
    assert centreline_loss(network, image, positions, exists, known) == before


def test_what_the_network_sees_of_a_place_does_not_depend_on_air_far_away() -> None:
    torch.manual_seed(0)
    network, image = CentrelineNetwork((8, 8, 8), (1, 1, 1)), torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        near, far = (network(torch.nn.functional.pad(image, (0, 0, 0, n), value=-1.0))[0] for n in (160, 320))
    assert torch.allclose(near[:, :, :8], far[:, :, :8], atol=1e-5)
