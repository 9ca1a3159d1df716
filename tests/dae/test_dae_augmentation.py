"""Random changes of training crops."""

import pytest
import torch
from torch import Generator, Tensor

from vertegrade.dae.augmentation import augmented
from vertegrade.settings.dae import AugmentSettings

NOTHING = AugmentSettings(
    rotate_deg=0, shift_px=0, zoom=0, elastic_px=0, offset_hu=0, gain=0, noise_hu=0, mirror=False
)  # fmt: skip


def changed(hu: Tensor, seed: int = 0, **settings: float) -> Tensor:
    clean, _ = augmented(hu, NOTHING.model_copy(update=settings), Generator().manual_seed(seed))
    return clean


def ramps(count: int, size: int = 64) -> tuple[Tensor, Tensor]:
    """Crops whose values are the row, and crops whose values are the column, (count, 1, size, size)."""
    place = torch.arange(size).float()
    rows = place[:, None].expand(count, 1, size, size)
    return rows, rows.transpose(2, 3)


def test_nothing_asked_for_changes_nothing() -> None:
    hu = torch.randn((3, 2, 32, 32), generator=Generator().manual_seed(1)) * 300
    torch.testing.assert_close(changed(hu), hu, atol=0.01, rtol=0)


def test_elastic_displacements_are_smooth_and_as_large_as_asked() -> None:
    rows, columns = ramps(64)
    inner = (slice(None), 0, slice(16, 48), slice(16, 48))
    moved = (changed(rows, elastic_px=2.0) - rows)[inner], (changed(columns, elastic_px=2.0) - columns)[inner]
    for displacement in moved:
        # Between its nodes an interpolated field is smaller than at them.
        assert 1.0 < displacement.std() < 2.1
        assert displacement.mean().abs() < 0.5
        assert displacement.diff(dim=1).abs().max() < 1.0  # never folds
    assert torch.corrcoef(torch.stack([m.flatten() for m in moved]))[0, 1].abs() < 0.1


def test_elastic_changes_heights_at_the_front_alone() -> None:
    rows, _ = ramps(256)
    displacement = (changed(rows, elastic_px=2.0) - rows)[:, 0]
    front = displacement[:, 42, 20] - displacement[:, 22, 20]  # change of the distance between two endplates, pixels
    back = displacement[:, 42, 44] - displacement[:, 22, 44]
    assert front.std() > 1.5
    assert torch.corrcoef(torch.stack([front, back]))[0, 1].abs() < 0.5


def test_the_same_draw_for_every_slice_and_the_same_seed() -> None:
    hu = torch.randn((4, 1, 32, 32), generator=Generator().manual_seed(1)).expand(4, 3, 32, 32) * 300
    once = changed(hu, elastic_px=2.0, rotate_deg=4.0)
    torch.testing.assert_close(once[:, 0], once[:, 2])
    assert torch.equal(once, changed(hu, elastic_px=2.0, rotate_deg=4.0))
    assert not torch.equal(once, changed(hu, seed=1, elastic_px=2.0, rotate_deg=4.0))


def test_only_the_encoder_sees_the_added_noise() -> None:
    hu = torch.zeros((8, 1, 32, 32))
    clean, noisy = augmented(hu, NOTHING.model_copy(update={"noise_hu": 10.0}), Generator().manual_seed(0))
    assert torch.equal(clean, hu)
    assert noisy.std() == pytest.approx(10.0, rel=0.05)
