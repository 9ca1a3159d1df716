"""The spinal canal: from what the network says of slices to a curve in the patient's millimetres, and on phantoms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from canal import HOLE_MM2, distances, holes, phantom
from canal_samples import canal_batch, canal_loss, canal_sample, truth
from vertegrade.ct.volume import Volume
from vertegrade.localizer.canal.find import find_canal, load_canal, robust_curve
from vertegrade.localizer.canal.network import CanalNetwork, probabilities, seen
from vertegrade.localizer.weights import save_weights
from vertegrade.phantom.anatomy.canal import canal_places
from vertegrade.phantom.training_scan import learning_patient, learning_scan
from vertegrade.reasons import Refused
from vertegrade.weights import WeightsError

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "models" / "localizer" / "canal.safetensors"


class Bright(nn.Module):
    """Takes the brightest place of a slice for the canal, and a slice without one for none."""

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        cells = functional.avg_pool2d(slices, 2)[:, 0]
        return torch.where(cells > -0.5, 40 * (cells + 0.5), -30.0), torch.zeros(len(cells), 2, *cells.shape[1:])


def tube(spacing: tuple[float, float, float], turned_deg: float = 0.0) -> tuple[Volume, np.ndarray]:
    """A scan of air with a bright bent tube, and places on its axis (n, 3), RAS mm."""
    angle = np.deg2rad(turned_deg)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    shape = tuple(int(length / step) for length, step in zip((120, 140, 240), spacing, strict=True))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn @ np.diag(spacing), (-60, -300, 900)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) * spacing

    def axis(z: np.ndarray) -> np.ndarray:
        return np.stack([60 + 8 * np.sin(z / 60), 70 + 15 * np.sin(z / 45), z], axis=-1)

    hu = np.where(np.linalg.norm((grid - axis(grid[..., 2]))[..., :2], axis=-1) < 6, 800, -1000).astype(np.int16)
    places = axis(np.arange(12.0, 220.0, 6.0)) @ turn.T + affine[:3, 3]
    return Volume(hu, affine), places


@pytest.mark.parametrize(
    ("spacing", "turned"), [((1.0, 1.0, 1.0), 0.0), ((0.8, 0.8, 5.0), 0.0), ((2.0, 1.5, 2.5), 8.0)]
)
def test_the_curve_is_in_millimetres_whatever_the_voxels(spacing: tuple[float, float, float], turned: float) -> None:
    volume, places = tube(spacing, turned)
    off = distances(find_canal(volume, Bright(), "cpu"), places)
    assert len(off) > 0.9 * len(places)
    assert off.mean() < 1.0
    assert off.max() < 2.5


def test_slices_that_hide_the_canal_are_bridged_and_a_bright_place_of_a_few_moves_nothing() -> None:
    volume, places = tube((1.0, 1.0, 1.0))
    whole = find_canal(volume, Bright(), "cpu")
    hu = volume.hu.copy()
    hu[:, :, 100:130] = -1000
    hu[20:28, 20:28, 60:68] = 2500  # brighter than the tube
    found = find_canal(Volume(hu, volume.affine), Bright(), "cpu")
    off = distances(found, places)
    assert len(off) > 0.9 * len(places)
    assert off.max() < 4.0
    assert found.sure < whole.sure == whole.slices
    assert found.slices == whole.slices


def test_the_canal_ends_where_it_is_no_longer_seen_and_none_is_no_error_of_the_program() -> None:
    volume, _ = tube((1.0, 1.0, 1.0))
    hu = volume.hu.copy()
    hu[:, :, 150:] = -1000
    canal = find_canal(Volume(hu, volume.affine), Bright(), "cpu")
    top, _ = canal.line.at(np.array(canal.start_arc_mm))
    assert top[2] == pytest.approx(900 + 150, abs=5)
    hu[:, :, 30:] = -1000
    with pytest.raises(Refused, match=r"over 2\d mm, 40 mm are needed") as refusal:
        find_canal(Volume(hu, volume.affine), Bright(), "cpu")
    assert refusal.value.reason == "no_canal"
    with pytest.raises(Refused, match="over 0 mm"):
        find_canal(Volume(np.full_like(hu, -1000), volume.affine), Bright(), "cpu")


def test_the_robust_curve_follows_most_places() -> None:
    z = np.arange(0, 400, 4.0)
    true = np.stack([20 * np.sin(z / 120), 0.1 * z], axis=1)
    places = true + np.random.default_rng(0).normal(0, 0.5, true.shape)
    places[30:36] += 30
    places[80:83, 0] -= 25
    off = np.linalg.norm(robust_curve(z, places, np.ones(len(z)))(z) - true, axis=1)
    assert off.max() < 1.0


def test_nowhere_is_a_place_too() -> None:
    heat = torch.full((2, 3, 4), -20.0)
    heat[0, 1, 2] = 20.0
    p = probabilities(heat)
    assert p[0, 1, 2] == pytest.approx(1.0)
    assert p[1].sum() < 1e-6
    slices = seen(torch.zeros(3, 20, 33))
    assert slices.shape == (3, 1, 32, 48)
    assert (slices[:, :, 20:] == -1).all()


def test_what_a_slice_shows_does_not_depend_on_the_others() -> None:
    torch.manual_seed(0)
    network = CanalNetwork().eval()
    slices = seen(torch.randn(5, 32, 48, generator=torch.Generator().manual_seed(0)) * 300)
    with torch.inference_mode():
        together, alone = network(slices)[0][2], network(slices[2:3])[0][0]
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_the_truth_of_a_sample_lies_between_body_and_laminae() -> None:
    patient = learning_patient(2026, 0)
    volume, bodies = learning_scan(2026, 0)
    sample = canal_sample(volume, canal_places(patient))
    where, exists, sure = truth(sample)
    sure &= exists
    assert sure.sum() > 20
    cells = np.rint(where / 2).astype(int)
    here = np.array([hu[x - 1 : x + 2, y - 1 : y + 2].mean() for hu, (x, y) in zip(sample.hu, cells, strict=True)])
    assert np.abs(here[sure]).max() < 150  # soft tissue, no bone
    centres = bodies.set_index("vertebra").loc[[18, 19], [f"centre_{axis}_mm" for axis in "xyz"]].to_numpy()
    for centre in centres:
        nearest = canal_places(patient)[np.abs(canal_places(patient)[:, 2] - centre[2]).argmin()]
        assert 15 < centre[1] - nearest[1] < 32  # the canal is behind its body


def test_the_loss_falls_where_it_is_followed() -> None:
    volume, _ = learning_scan(2026, 0)
    sample = canal_sample(volume, canal_places(learning_patient(2026, 0)))
    batch = canal_batch([sample], 1, 0)
    torch.manual_seed(0)
    network = CanalNetwork()
    optimiser, losses = torch.optim.Adam(network.parameters(), 1e-2), []
    for _ in range(12):
        optimiser.zero_grad()
        loss = canal_loss(network, *batch)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_other_weights_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "other.safetensors", CanalNetwork(), "vertegrade-sight-1", {})
    with pytest.raises(WeightsError, match="needed 'vertegrade-canal-1'"):
        load_canal(tmp_path / "other.safetensors", "cpu")


def test_the_hole_that_a_vertebra_encloses_is_the_canal() -> None:
    labels = np.zeros((60, 60, 4), np.uint8)
    labels[10:50, 10:50, 1] = 20
    labels[22:38, 20:32, 1] = 0
    labels[10:50, 10:50, 2] = 20
    labels[22:38, 5:32, 2] = 0  # open: no ring
    found = holes(labels, np.diag([1.0, 1.0, 3.0, 1.0]))
    assert found.tolist() == [[29.5, 25.5, 3.0]]
    assert HOLE_MM2[0] < 16 * 12 < HOLE_MM2[1]


@pytest.mark.parametrize("number", [0, 1])
def test_the_shipped_network_finds_the_canal_of_phantoms(number: int) -> None:
    volume, places = phantom(43, number)
    off = distances(find_canal(volume, load_canal(WEIGHTS, "cpu"), "cpu"), places)
    assert len(off) >= len(places) - 1
    assert off.mean() < 2.0


def test_a_scan_that_shows_no_spine_has_no_canal() -> None:
    volume, places = phantom(43, 0)
    front = int((places[:, 1].max() + 45 - volume.affine[1, 3]) / volume.spacing_mm[1])
    affine = volume.affine.copy()
    affine[1, 3] += front * volume.spacing_mm[1]
    with pytest.raises(Refused, match="no_canal"):
        find_canal(Volume(volume.hu[:, front:], affine), load_canal(WEIGHTS, "cpu"), "cpu")
