"""Pictures are corrected by what is measured in them, and fractured bodies may grow back."""

from typing import Any

import numpy as np
import pytest
import torch

from vertegrade.graders.dae import counterfactual as module
from vertegrade.graders.dae.counterfactual import Instruments, Shown, counterfactuals, outlines
from vertegrade.settings.dae import CounterfactualSettings

SIX = np.array([[20, 22], [40, 22], [22, 31], [38, 31], [20, 40], [40, 40]], float)


class Exact:
    """Steps whose latents are the losses of the columns, and a severity as the last number."""

    def moved(self, z: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return np.concatenate([z[:, :3] + after - before, z[:, 3:]], axis=1)


class Weak:
    """A decoder that draws only a part of what is asked for; its pictures are the latents themselves."""

    def __init__(self, part: float) -> None:
        self.part, self.asked = part, list[np.ndarray]()

    def decode(self, dae: Any, crops: torch.Tensor, noise: Any, masks: Any, z: np.ndarray, levels: Any) -> torch.Tensor:
        self.asked.append(z)
        return torch.from_numpy(self.part * z)[:, None, None].expand(-1, 1, 1, -1).clone()


def drawn(monkeypatch: pytest.MonkeyPatch, part: float, rounds: int) -> module.Pictures:
    """Two vertebrae, intact and with a wedge of 30 %, each wanted intact and as a wedge of 40 %."""
    decoder = Weak(part)
    own = np.array([[0, 0, 0, 0.1], [0.3, 0.2, 0, 1.5]])
    monkeypatch.setattr(module, "decode", decoder.decode)
    monkeypatch.setattr(module, "windowed", lambda hu, settings: hu)
    monkeypatch.setattr(module, "hounsfield", lambda pixels, settings: torch.from_numpy(own)[:, None, None])
    monkeypatch.setattr(module, "_encoded", lambda dae, x: x[:, 0, 0].double().numpy())
    monkeypatch.setattr(module, "to_hu", lambda x, settings: x.numpy())
    intact = np.full((2, 3), 20.0)
    shown = Shown(np.zeros((2, 1, 4, 4), np.int16), np.tile(SIX, (2, 1, 1)), intact * (1 - own[:, :3]), intact,
                  np.array([1, 2], np.float32)[:, None, None, None], 1.0)  # fmt: skip
    by = Instruments(
        heights=lambda images, points: 20.0 * (1 - images[:, 0, :3]),
        severity=lambda z: z[:, 3],
        towards=np.array([0, 0, 0, 1.0]),
    )
    loss = np.tile([[0, 0, 0], [0.4, 0.25, 0]], (2, 1, 1)).astype(float)
    severity = np.tile([0.1, 2.5], (2, 1))
    settings = CounterfactualSettings(rounds=rounds)

    class Model:
        settings = None

    return counterfactuals(Model(), Exact(), by, shown, loss, severity, settings)  # type: ignore[arg-type]


def test_one_round_gives_what_the_decoder_can(monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn(monkeypatch, part=0.6, rounds=1)
    np.testing.assert_allclose(found.loss[:, 1, 0], 0.6 * 0.4)
    np.testing.assert_allclose(found.loss[:, 0], 0, atol=1e-12)


def test_more_rounds_close_the_gap_of_losses_and_severity(monkeypatch: pytest.MonkeyPatch) -> None:
    gaps = []
    for rounds in (1, 3, 8):
        found = drawn(monkeypatch, part=0.6, rounds=rounds)
        gaps.append((abs(found.loss[:, 1, 0] - 0.4).max(), abs(found.severity[:, 1] - 2.5).max()))
    assert gaps[0][0] > 2 * gaps[1][0] > 4 * gaps[2][0]
    assert gaps[0][1] > gaps[1][1] > gaps[2][1]
    assert gaps[2] == (pytest.approx(0, abs=0.02), pytest.approx(0, abs=0.2))


def test_the_pictures_return_to_the_losses_of_the_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn(monkeypatch, part=1.0, rounds=1)
    np.testing.assert_allclose(found.z_back[:, :, :3], np.repeat(found.own[:, None, :3], 2, axis=1), atol=1e-12)
    assert found.images.shape[:2] == found.back.shape[:2] == (2, 2)


def test_a_fractured_body_may_grow_to_the_height_of_an_intact_one() -> None:
    heights = np.array([[20.0, 16.0, 20.0], [10.0, 16.0, 20.0]])
    shown = Shown(np.zeros((2, 1, 64, 64), np.int16), np.tile(SIX, (2, 1, 1)), heights, np.full((2, 3), 20.0),
                  np.zeros((2, 1, 64, 64), np.float32), 1.0)  # fmt: skip
    grown = outlines(shown)
    np.testing.assert_allclose(grown[0, 4:], SIX[4:])  # as high as it should be
    np.testing.assert_allclose(grown[1, :2, 0], [10, 50])  # twice as high, about its middle
    np.testing.assert_allclose(grown[..., 1], np.tile(SIX[:, 1], (2, 1)))
    low = Shown(shown.pixels, shown.points, np.full((2, 3), 30.0), shown.intact, shown.noise, 1.0)
    np.testing.assert_allclose(outlines(low), shown.points)  # never smaller than it is


def test_a_correction_is_a_share_of_what_is_missing_and_never_leaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that draws nothing of what is asked: after a round, as much more is asked for as one may."""
    found = drawn(monkeypatch, part=0.0, rounds=2)
    np.testing.assert_allclose(found.z[:, 1, 0], 0.4 + 0.7 * 0.15)
    np.testing.assert_allclose(found.z[:, 1, 1], 0.25 + 0.7 * 0.15)
    np.testing.assert_allclose(found.z[:, 1, 3], found.own[:, 3] + 0.7 * 1.0)
    np.testing.assert_allclose(found.z[:, 0, 3], found.own[:, 3] + 0.7 * 0.1)


def test_the_way_back_starts_at_what_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn(monkeypatch, part=0.6, rounds=1)
    np.testing.assert_allclose(found.z_back[:, :, :3], np.repeat(found.own[:, None, :3], 2, axis=1), atol=1e-12)
    np.testing.assert_allclose(found.z_back[:, :, 3], 0.6 * np.repeat(found.own[:, None, 3], 2, axis=1))


def test_each_picture_is_drawn_into_its_own_vertebra(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[np.ndarray, ...]] = []
    weak, decode = Weak(1.0), Weak.decode

    def seen(dae: Any, crops: torch.Tensor, noise: np.ndarray, masks: np.ndarray, z: np.ndarray, levels: Any) -> Any:
        asked.append((crops[:, 0, 0].numpy(), noise[:, 0, 0, 0], masks[:, 0, 0]))
        return decode(weak, dae, crops, noise, masks, z, levels)

    monkeypatch.setattr(Weak, "decode", lambda self, *arguments: seen(*arguments))
    monkeypatch.setattr(module, "body_masks", lambda points, *more: np.array([[[5.0]], [[6.0]]]))
    found = drawn(monkeypatch, part=1.0, rounds=1)
    crops, noise, masks = asked[0]
    np.testing.assert_allclose(crops, np.repeat(found.own, 2, axis=0))
    assert noise.tolist() == [1, 1, 2, 2]
    assert masks.tolist() == [5, 5, 6, 6]
    crops, noise, masks = asked[1]  # the reconstructions
    assert (noise.tolist(), masks.tolist()) == ([1, 2], [5, 6])
    np.testing.assert_allclose(found.reconstruction[:, 0, 0], found.own)


def test_heights_are_measured_on_the_middle_channel() -> None:
    assert module._middle(np.arange(6).reshape(2, 3, 1, 1)).ravel().tolist() == [1, 4]
