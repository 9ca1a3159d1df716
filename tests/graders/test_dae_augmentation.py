"""Random changes of training crops."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates, rotate, shift
from torch import Generator, Tensor

from vertegrade.graders.dae.augmentation import augmented
from vertegrade.settings.dae import AugmentSettings

NOTHING = AugmentSettings(
    rotate_deg=0, shift_px=0, elastic_px=0, offset_hu=0, gain=0, noise_hu=0, mirror=False
)  # fmt: skip


def drawn_and_seen(hu: Tensor, seed: int = 0, **settings: float) -> tuple[Tensor, Tensor]:
    return augmented(hu, NOTHING.model_copy(update=settings), Generator().manual_seed(seed))


def drawn(hu: Tensor, seed: int = 0, **settings: float) -> Tensor:
    return drawn_and_seen(hu, seed, **settings)[0]


def ramps(count: int, size: int = 64) -> tuple[Tensor, Tensor]:
    """Crops whose values are the row, and crops whose values are the column, (count, 1, size, size)."""
    place = torch.arange(size).float()
    rows = place[:, None].expand(count, 1, size, size)
    return rows, rows.transpose(2, 3)


def test_nothing_asked_for_changes_nothing() -> None:
    hu = torch.randn((3, 2, 32, 32), generator=Generator().manual_seed(1)) * 300
    for image in drawn_and_seen(hu):
        torch.testing.assert_close(image, hu, atol=0.01, rtol=0)


def test_only_the_encoder_sees_the_pose() -> None:
    rows, columns = ramps(64)
    middle = (slice(None), 0, slice(16, 48), slice(16, 48))
    for image in (rows, columns):
        plain, seen = drawn_and_seen(image, shift_px=2.0)
        torch.testing.assert_close(plain, image, atol=0.01, rtol=0)
        shift = (seen - image)[middle].flatten(1)
        assert shift.std(dim=1).max() < 0.01  # one shift for a crop
        assert shift.mean(dim=1).abs().max() == pytest.approx(2.0, abs=0.15)
    turned = (drawn_and_seen(rows, rotate_deg=4.0)[1] - rows)[middle]
    slope = turned.diff(dim=2).mean(dim=(1, 2))  # sine of the angle
    assert slope.abs().max() == pytest.approx(math.sin(math.radians(4)), rel=0.1)


def test_the_pose_acts_on_the_warped_crop() -> None:
    hu = torch.nn.functional.interpolate(
        torch.randn((4, 1, 9, 9), generator=Generator().manual_seed(1)) * 300, size=(64, 64), mode="bicubic"
    )
    both = drawn_and_seen(hu, elastic_px=2.0, rotate_deg=4.0, shift_px=2.0)
    # The same draws of pose on the drawn image: what the encoder sees, but for a second interpolation.
    again = drawn_and_seen(hu, elastic_px=2.0)[0]
    torch.testing.assert_close(both[0], again)
    assert (both[1] - both[0])[..., 16:48, 16:48].std() > 20
    undone = _moved_back(both[1], both[0])
    assert undone < 0.05 * hu.var()


def _moved_back(seen: Tensor, plain: Tensor) -> Tensor:
    """The least mean square difference of crops to turned and shifted ones over a grid of poses, mean over crops."""
    found = []
    for one, other in zip(seen, plain, strict=True):
        least = torch.tensor(torch.inf)
        for angle in torch.linspace(-4, 4, 17).tolist():
            turned = rotate(other.numpy()[0], angle, reshape=False, order=1, mode="nearest")
            for rows in torch.arange(-2, 2.5, 0.5).tolist():
                for columns in torch.arange(-2, 2.5, 0.5).tolist():
                    moved = torch.from_numpy(shift(turned, (rows, columns), order=1, mode="nearest"))
                    least = min(least, (moved - one[0])[16:48, 16:48].square().mean())
        found.append(least)
    return torch.stack(found).mean()


def test_elastic_displacements_are_smooth_and_as_large_as_asked() -> None:
    rows, columns = ramps(64)
    inner = (slice(None), 0, slice(16, 48), slice(16, 48))
    moved = (drawn(rows, elastic_px=2.0) - rows)[inner], (drawn(columns, elastic_px=2.0) - columns)[inner]
    for displacement in moved:
        # Between its nodes an interpolated field is smaller than at them.
        assert 1.0 < displacement.std() < 2.1
        assert displacement.mean().abs() < 0.5
        assert displacement.diff(dim=1).abs().max() < 1.0  # never folds
    assert torch.corrcoef(torch.stack([m.flatten() for m in moved]))[0, 1].abs() < 0.1


def test_elastic_changes_heights_at_the_front_alone() -> None:
    rows, _ = ramps(256)
    displacement = (drawn(rows, elastic_px=2.0) - rows)[:, 0]
    front = displacement[:, 42, 20] - displacement[:, 22, 20]  # change of the distance between two endplates, pixels
    back = displacement[:, 42, 44] - displacement[:, 22, 44]
    assert front.std() > 1.5
    assert torch.corrcoef(torch.stack([front, back]))[0, 1].abs() < 0.5


def test_the_same_draw_for_every_slice_and_the_same_seed() -> None:
    hu = torch.randn((4, 1, 32, 32), generator=Generator().manual_seed(1)).expand(4, 3, 32, 32) * 300
    everything = {"elastic_px": 2.0, "rotate_deg": 4.0, "shift_px": 2.0, "gain": 0.1, "offset_hu": 25.0}
    plain, seen = drawn_and_seen(hu, **everything)
    torch.testing.assert_close(plain[:, 0], plain[:, 2])
    torch.testing.assert_close(seen[:, 0], seen[:, 2])
    again = drawn_and_seen(hu, **everything)
    assert torch.equal(plain, again[0])
    assert torch.equal(seen, again[1])
    assert not torch.equal(plain, drawn(hu, seed=1, **everything))


def test_only_the_encoder_sees_the_added_noise() -> None:
    hu = torch.zeros((8, 1, 32, 32))
    plain, seen = drawn_and_seen(hu, noise_hu=10.0)
    assert torch.equal(plain, hu)
    assert seen.std() == pytest.approx(10.0, rel=0.05)


@pytest.mark.parametrize("change", [{"thick_px": 8.0}, {"kernel": 1.0}, {"contrast": 0.3}, {"level_hu": 50.0}])
def test_only_the_encoder_sees_another_scanner(change: dict[str, float]) -> None:
    hu = torch.randn((16, 1, 32, 32), generator=Generator().manual_seed(1)) * 100
    plain, seen = drawn_and_seen(hu, **change)
    torch.testing.assert_close(plain, hu, atol=0.01, rtol=0)
    assert (seen - hu).abs().max() > 5


def test_thick_slices_blur_the_rows_of_half_of_the_crops() -> None:
    rows, columns = torch.zeros((64, 1, 33, 33)), torch.zeros((64, 1, 33, 33))
    rows[:, :, 16], columns[:, :, :, 16] = 100.0, 100.0
    assert (drawn_and_seen(columns, thick_px=8.0)[1] - columns).abs().max() < 0.01
    profile = drawn_and_seen(rows, thick_px=8.0)[1][:, 0, :, 16]
    place = torch.arange(33.0) - 16
    width = ((profile * place**2).sum(1) / profile.sum(1)).sqrt() * math.sqrt(12)  # of a box with this deviation
    assert profile.sum(1) == pytest.approx(torch.full((64,), 100.0), rel=1e-3)
    assert 20 < int((width < 0.05).sum()) < 44
    assert 6 < float(width.max()) < 8.2


def test_kernels_are_softer_and_sharper() -> None:
    edge = torch.zeros((64, 1, 32, 32))
    edge[..., 16:] = 100.0
    overshoot = drawn_and_seen(edge, kernel=1.0)[1].amax(dim=(1, 2, 3)) - 100
    assert overshoot.max() > 20
    assert overshoot.min() == pytest.approx(0, abs=0.5)


def test_half_of_the_crops_are_mirrored_left_to_right_for_encoder_and_decoder_alike() -> None:
    slices = torch.arange(5.0)[None, :, None, None] * 10
    hu = (slices + torch.arange(32.0)).expand(200, 5, 32, 32)
    plain, seen = augmented(hu, NOTHING.model_copy(update={"mirror": True}), Generator().manual_seed(0))
    turned = (plain - hu.flip(1)).abs().amax(dim=(1, 2, 3)) < 0.1
    kept = (plain - hu).abs().amax(dim=(1, 2, 3)) < 0.1
    assert (turned | kept).all()
    assert 70 < int(turned.sum()) < 130
    torch.testing.assert_close(seen, plain, atol=0.01, rtol=0)
    torch.testing.assert_close(drawn(hu), hu, atol=0.01, rtol=0)


def test_grey_values_change_for_encoder_and_decoder_alike() -> None:
    hu = torch.tensor([0.0, 100.0])[:, None].expand(400, 1, 2, 32).contiguous()
    plain, seen = drawn_and_seen(hu, gain=0.1, offset_hu=25.0)
    torch.testing.assert_close(plain, seen, atol=0.01, rtol=0)
    offset, gain = plain[:, 0, 0, 0], (plain[:, 0, 1, 0] - plain[:, 0, 0, 0]) / 100
    for found, middle, reach in ((offset, 0.0, 25.0), (gain, 1.0, 0.1)):
        assert (found - middle).abs().max() <= reach * 1.001
        assert (found - middle).std() == pytest.approx(reach / math.sqrt(3), rel=0.1)
    assert torch.corrcoef(torch.stack([offset, gain]))[0, 1].abs() < 0.15


def test_a_rotation_turns_rows_and_columns_by_the_same_angle() -> None:
    rows, columns = ramps(32)
    middle = (slice(None), 0, slice(20, 44), slice(20, 44))
    by_columns = (drawn_and_seen(rows, rotate_deg=8.0)[1] - rows)[middle].diff(dim=2).mean(dim=(1, 2))
    by_rows = (drawn_and_seen(columns, rotate_deg=8.0)[1] - columns)[middle].diff(dim=1).mean(dim=(1, 2))
    torch.testing.assert_close(by_rows, -by_columns, atol=1e-3, rtol=0)
    assert by_rows.abs().max() > 0.1


def test_the_pose_moves_the_warp_with_the_crop() -> None:
    """A pixel of the encoder's crop comes from the pose's place, and from there as far as the warp there says."""
    rows, columns = ramps(6)
    inner = (slice(None), 0, slice(16, 48), slice(16, 48))
    posed = [drawn_and_seen(image, rotate_deg=8.0, shift_px=4.0)[1] for image in (rows, columns)]
    both = {"rotate_deg": 8.0, "shift_px": 4.0, "elastic_px": 2.0}
    warped = [drawn_and_seen(image, **both) for image in (rows, columns)]
    for image, place, (plain, seen) in zip((rows, columns), posed, warped, strict=True):
        warp = plain - image
        there = [
            map_coordinates(field[0].numpy(), [p[0].numpy(), q[0].numpy()], order=1, mode="nearest")
            for field, p, q in zip(warp, *posed, strict=True)
        ]
        wanted = place + torch.from_numpy(np.stack(there))[:, None]
        assert (seen - wanted)[inner].abs().max() < 0.05
        assert (seen - place - warp)[inner].abs().max() > 0.3  # the warp where the pixel lies is another one
