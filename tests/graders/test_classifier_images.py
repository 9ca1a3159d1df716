"""What the classifiers see: windows, bodies, and the same random changes of both."""

import numpy as np
import pytest
import torch

from vertegrade.graders.classifiers.augmentation import Augmentation
from vertegrade.graders.classifiers.images import channel_count, channels, tensors
from vertegrade.settings.classifiers import ClassifierAugmentSettings

WINDOWS = [[0.0, 400.0], [-100.0, 100.0]]
STILL = ClassifierAugmentSettings(rotate_deg=0, zoom=0, shift=0, gain=0, offset_hu=0, noise_hu=0, holes=0, mirror=False)


def patches(count: int = 2, side: int = 12) -> np.ndarray:
    """Patches whose HU is 100 times the label of their bodies."""
    label = np.zeros((count, side, side, side), np.int16)
    label[:, :, 4:8] = 20
    label[:, :, :2] = 19
    return np.stack([100 * label, label], axis=1)


def test_windows_are_channels_and_clip() -> None:
    hu, bodies = tensors(np.array([[[[-500, 0, 200, 900]]]], np.int16), "none", "cpu")
    assert bodies is None
    assert channels(hu, None, WINDOWS, 2)[0, :, 0].tolist() == [[-1, -1, 0, 1], [-1, 0, 1, 1]]


@pytest.mark.parametrize(("images", "bodies", "dimensions"), [(patches(), "level", 3), (patches()[:, 0], "none", 2)])
def test_channels_are_as_many_as_the_network_is_built_for(images: np.ndarray, bodies: str, dimensions: int) -> None:
    seen = channels(*tensors(images, bodies, "cpu"), WINDOWS, dimensions)
    assert seen.shape[1] == channel_count(12, bodies, 2, dimensions)
    assert seen.shape[2:] == (12,) * dimensions


def test_bodies_are_levels_or_which_is_meant() -> None:
    _, level = tensors(patches(), "level", "cpu")
    assert level is not None
    assert sorted(set(level.ravel().tolist())) == pytest.approx([0, 19 / 28, 20 / 28])
    _, body = tensors(patches(), "body", "cpu")
    assert body is not None
    assert body[0, 0, :, 0].tolist() == [0.5] * 2 + [0] * 2 + [1] * 4 + [0] * 4
    with pytest.raises(ValueError, match=r"set patches\.bodies"):
        tensors(patches()[:, :1], "level", "cpu")


def test_a_change_of_nothing_changes_nothing() -> None:
    hu, bodies = tensors(patches(), "level", "cpu")
    changed, moved = Augmentation(STILL, 3, 12)(hu, bodies, 5)
    torch.testing.assert_close(changed, hu, atol=1e-2, rtol=0)
    torch.testing.assert_close(moved, bodies)


def test_bodies_move_with_the_image_and_stay_labels() -> None:
    hu, bodies = tensors(patches(), "level", "cpu")
    moving = STILL.model_copy(update={"rotate_deg": 20.0, "shift": 3.0, "zoom": 0.2, "mirror": True})
    changed, moved = Augmentation(moving, 3, 12)(hu, bodies, 3)
    assert moved is not None
    assert bodies is not None
    assert set(moved.ravel().tolist()) <= set(bodies.ravel().tolist())  # nearest
    assert len(changed.unique()) > len(hu.unique())  # linear
    assert not torch.equal(moved, bodies)
    error = (changed / 2800 - moved).abs()
    assert error.mean() < 0.4 * bodies.std()  # the same grid, up to half a voxel at the borders
    assert (changed / 2800 - bodies).abs().mean() > 1.5 * error.mean()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_what_is_random_follows_from_the_seed_alone(dimensions: int) -> None:
    settings = ClassifierAugmentSettings(holes=2)
    hu, _ = tensors(patches()[:, 0], "none", "cpu")
    first, again = (Augmentation(settings, dimensions, 12)(hu, None, 7)[0] for _ in range(2))
    assert torch.equal(first, again)
    augmentation = Augmentation(settings, dimensions, 12)
    augmentation(hu, None, 6)
    assert torch.equal(augmentation(hu, None, 7)[0], first)  # whatever came before
    assert torch.equal(augmentation(hu[:1], None, 7)[0], first[:1])  # and beside it
    assert not torch.equal(first[0], first[1])
    assert first.shape == hu.shape
