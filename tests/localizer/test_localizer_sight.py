"""The network that sees which way a body lies: numpy computes what torch trains, and an exchanged scan is seen so."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from sight_network import SightNetwork, sight_loss, sight_numbers
from sight_samples import Spine, sight_batch
from vertegrade.ct.volume import Volume
from vertegrade.localizer.sight.see import KIND, SIZE, SLABS, Seen, Sight, from_patches, load_sight, patches, see
from vertegrade.localizer.straight_image import windowed
from vertegrade.localizer.training import train_network
from vertegrade.localizer.weights import save_weights
from vertegrade.weights import WeightsError

ROOT = Path(__file__).parents[2]


def random_network(folder: Path) -> tuple[SightNetwork, Sight]:
    torch.manual_seed(3)
    network = SightNetwork()
    save_weights(folder / "sight.safetensors", network, KIND, {})
    return network.eval(), load_sight(folder / "sight.safetensors")


def test_numpy_computes_what_torch_trains(tmp_path: Path) -> None:
    network, sight = random_network(tmp_path)
    hu = np.random.default_rng(0).normal(300, 400, (3, SLABS, SIZE, SIZE)).astype(np.float32)
    with torch.inference_mode():
        numbers = sight_numbers(network, windowed(torch.from_numpy(hu)))
    seen = from_patches(hu, sight)
    np.testing.assert_allclose(seen.way_log_p, numbers[..., 0].log_softmax(1), atol=1e-4)
    np.testing.assert_allclose(seen.body_logit, numbers[..., 1].mean(1), atol=1e-4)


def noise(seed: int = 1) -> Volume:
    """Smooth noise, which has no two alike sides."""
    hu = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 4000, (60, 90, 120)), 2)
    return Volume(hu.astype(np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))


PLACES = np.array([[60.0, 80.0, 180.0], [58.0, 84.0, 150.0], [62.0, 90.0, 118.0]])
LAST = 2.0 * (np.array([60, 90, 120]) - 1)


def exchanged(rows: bool, columns: bool) -> tuple[Volume, np.ndarray]:
    """The noise with head and feet (rows) or front and back (columns) exchanged, and the places in it."""
    volume = noise()
    places = PLACES.copy()
    for axis, turn in ((2, rows), (1, columns)):
        if turn:
            places[:, axis] = LAST[axis] - places[:, axis]
    hu = volume.hu[:, :: -1 if columns else 1, :: -1 if rows else 1]
    return Volume(np.ascontiguousarray(hu), volume.affine), places


@pytest.mark.parametrize(
    ("rows", "columns", "order"), [(0, 1, [1, 0, 3, 2]), (1, 0, [2, 3, 0, 1]), (1, 1, [3, 2, 1, 0])]
)
def test_a_scan_with_sides_exchanged_looks_as_the_scan_does_the_other_way_round(
    rows: int, columns: int, order: list[int], tmp_path: Path
) -> None:
    _, sight = random_network(tmp_path)
    as_it_is = see(noise(), PLACES, sight)
    turned = see(*exchanged(bool(rows), bool(columns)), sight)
    assert np.ptp(as_it_is.way_log_p, axis=1).min() > 1e-3
    np.testing.assert_allclose(turned.way_log_p[:, order], as_it_is.way_log_p, atol=2e-2)
    np.testing.assert_allclose(turned.body_logit, as_it_is.body_logit, atol=2e-2)


def test_a_patch_shows_the_place_in_its_middle_with_the_front_on_its_left_and_the_head_above() -> None:
    hu = np.full((60, 90, 120), -1000, np.int16)
    hu[29:32, 39:42, 74:77] = 1500  # around PLACES[1]
    hu[29:32, 59:62, 74:77] = 700  # 40 mm before it
    hu[29:32, 39:42, 89:92] = 300  # 30 mm above it
    patch = patches(Volume(hu, np.diag([2.0, 2.0, 2.0, 1.0])), np.array([[60.0, 80.0, 150.0]]))[0, SLABS // 2]
    peak = np.unravel_index(patch.argmax(), patch.shape)
    assert np.abs(np.array(peak) - SIZE // 2).max() <= 1
    front, above = patch[SIZE // 2 - 1 : SIZE // 2 + 1, 3:6], patch[7:10, SIZE // 2 - 1 : SIZE // 2 + 1]
    assert front.max() > 0
    assert above.max() > -300


def test_places_outside_the_scan_and_two_at_one_height_are_no_error(tmp_path: Path) -> None:
    _, sight = random_network(tmp_path)
    places = np.array([[60.0, 80.0, 150.0], [60.0, 81.0, 150.0], [900.0, 80.0, 100.0], [60.0, 80.0, -500.0]])
    seen = see(noise(), places, sight)
    assert np.isfinite(seen.way_log_p).all()
    assert seen.body_logit.shape == (4,)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "other.safetensors", SightNetwork(), "vertegrade-vertebrae-1", {})
    with pytest.raises(WeightsError, match="needed 'vertegrade-sight-1'"):
        load_sight(tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="not a readable safetensors"):
        load_sight(tmp_path / "missing.safetensors")


def test_given_landmarks_do_not_wait_for_torch() -> None:
    code = "import sys, vertegrade.localizer.sight.against_image; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_training_learns_bodies_and_goes_on_the_same_after_a_stop(tmp_path: Path) -> None:
    hu = np.full((9, 160, 72), -50, np.int16)
    hu[:, :, 20:34] = 60
    for top in range(20, 140, 20):
        hu[:, top - 7 : top + 7, 20:34] = 500  # a body; behind its upper half an arch
        hu[:, top - 7 : top, 40:50] = 700
    centres = np.array([[4.0, top, 27.0] for top in range(40, 130, 20)])
    spine = Spine(hu, centres, np.full(len(centres), 20.0))
    torch.manual_seed(0)
    network = SightNetwork()
    done = train_network(network, lambda k: sight_batch([spine], 12, 5, k), sight_loss, 60, 3e-3, tmp_path, 5, "cpu")
    assert done["bad_steps"] == 0
    # Neither way nor place known: log 4 and log 2
    assert done["loss"] < 0.75 * (np.log(4) + np.log(2))


def test_seen_has_a_row_a_place(tmp_path: Path) -> None:
    _, sight = random_network(tmp_path)
    seen = see(noise(), PLACES, sight)
    assert isinstance(seen, Seen)
    assert seen.way_log_p.shape == (3, 4)
    np.testing.assert_allclose(np.exp(seen.way_log_p).sum(axis=1), 1, atol=1e-6)


def test_places_far_from_the_others_see_nothing_but_air() -> None:
    """A fragment of a mask may bend the line so that other places lie far beside its image."""
    for aside in (-400.0, 400.0):
        seen = patches(noise(), np.vstack([PLACES, PLACES[-1] + [0.0, aside, -2.0]]))
        assert seen.shape == (4, SLABS, SIZE, SIZE)
