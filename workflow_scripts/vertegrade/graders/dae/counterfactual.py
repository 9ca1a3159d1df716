"""The same vertebra with other losses of height: latents moved by learned steps, decoded, and measured again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vertegrade.arrays import Floats, Floats32
from vertegrade.graders.dae.decoding import MARGIN_MM, body_masks, decode
from vertegrade.graders.dae.diffusion import ddim_levels
from vertegrade.graders.dae.pixels import hounsfield, to_hu, windowed
from vertegrade.graders.dae.steps import Steps
from vertegrade.graders.dae.weights import Dae
from vertegrade.settings.dae import CounterfactualSettings

GAIN = 0.7  # share of what is missing that is asked for more in the next round
MOST_LOSS, MOST_SEVERITY = 0.15, 1.0  # in one round
Graded = Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class Shown:
    """M vertebrae. pixels: (M, S, H, W) int16 HU. points: (M, 6, 2) row and column of six points in the crop.

    heights, intact: (M, 3) mm, measured and as an intact vertebra would have. noise: (M, C, H, W) x_T. pixel_mm: side.
    """

    pixels: np.ndarray
    points: Floats
    heights: Floats
    intact: Floats
    noise: Floats32
    pixel_mm: float


def outlines(shown: Shown) -> Floats:
    """Six points (M, 6, 2) of what may be drawn: the body as it is, and as high as it would be if it were intact."""
    ends = shown.points.reshape(-1, 3, 2, 2)
    middles = ends.mean(axis=2, keepdims=True)
    stretch = np.maximum(shown.intact / shown.heights, 1)[:, :, None, None]
    stretched: Floats = (middles + stretch * (ends - middles)).reshape(shown.points.shape)
    return stretched


@dataclass(frozen=True, eq=False)
class Instruments:
    """What measures a picture. heights: images (N, H, W) HU and points (N, 6, 2) to heights (N, 3) mm.

    severity: latents (N, D) to severities (N,). towards: (D,) step of z that raises the severity by about one grade.
    """

    heights: Callable[[np.ndarray, Floats], Floats]
    severity: Graded
    towards: Floats


@dataclass(frozen=True, eq=False)
class Pictures:
    """Of M vertebrae and T pictures of each; images of the DAE's channels, int16 HU within its window.

    original, reconstruction: (M, C, H, W), the crop and what its own z draws into it. images: (M, T, C, H, W). loss:
    (M, T, 3) measured. severity: (M, T) of the images encoded again. own: (M, D) latents of the crops. z: (M, T, D)
    those that drew the images. back: (M, T, C, H, W)
    the images' own latents moved back to the losses of the crop, and decoded; z_back: (M, T, D) these latents.
    """

    original: np.ndarray
    reconstruction: np.ndarray
    images: np.ndarray
    loss: Floats
    severity: Floats
    own: Floats
    z: Floats
    back: np.ndarray
    z_back: Floats


def counterfactuals(
    dae: Dae,
    steps: Steps,
    by: Instruments,
    shown: Shown,
    wanted_loss: Floats,
    wanted_severity: Floats,
    settings: CounterfactualSettings,
) -> Pictures:
    """Pictures with the wanted losses (M, T, 3) of the columns and severities (M, T).

    Each is decoded, measured and encoded again `settings.rounds` times; what is missing is added to what is asked for.
    """
    vertebrae, count = wanted_severity.shape
    crops = windowed(hounsfield(shown.pixels, dae.settings), dae.settings)
    side = shown.pixels.shape[-1]
    decoder = _Decoder(
        dae,
        crops.repeat_interleave(count, dim=0),
        shown.noise.repeat(count, axis=0),
        body_masks(outlines(shown), side, shown.pixel_mm, MARGIN_MM).repeat(count, axis=0),
        ddim_levels(settings.render_steps, settings.lowest_level),
    )
    own = _encoded(dae, crops)
    z, points, intact = (part.repeat(count, axis=0) for part in (own, shown.points, shown.intact))
    before = 1 - (shown.heights / shown.intact).repeat(count, axis=0)
    loss, severity = wanted_loss.reshape(-1, 3), wanted_severity.ravel()
    asked, along = loss.copy(), np.zeros(len(z))
    for left in reversed(range(settings.rounds)):
        moved = steps.moved(z, before, asked) + along[:, None] * by.towards
        drawn = decoder(moved)
        found_z = _encoded(dae, drawn)
        found = 1 - by.heights(_middle(to_hu(drawn, dae.settings)), points) / intact
        graded = by.severity(found_z)
        if left:
            asked = asked + GAIN * np.clip(loss - found, -MOST_LOSS, MOST_LOSS)
            along = along + GAIN * np.clip(severity - graded, -MOST_SEVERITY, MOST_SEVERITY)
    z_back = steps.moved(found_z, found, before)
    shape = (vertebrae, count)
    reconstruction = _Decoder(dae, crops, shown.noise, decoder.masks[::count], decoder.levels)(own)
    return Pictures(
        to_hu(crops, dae.settings),
        to_hu(reconstruction, dae.settings),
        to_hu(drawn, dae.settings).reshape(*shape, *crops.shape[1:]),
        found.reshape(*shape, 3),
        graded.reshape(shape),
        own,
        moved.reshape(*shape, moved.shape[1]),
        to_hu(decoder(z_back), dae.settings).reshape(*shape, *crops.shape[1:]),
        z_back.reshape(*shape, z_back.shape[1]),
    )


@dataclass(frozen=True, eq=False)
class _Decoder:
    """Decodes latents into given crops, as `decoding.decode`."""

    dae: Dae
    crops: Tensor
    noise: Floats32
    masks: Floats32
    levels: list[int]

    def __call__(self, z: Floats) -> Tensor:
        return decode(self.dae, self.crops, self.noise, self.masks, z, self.levels)


@torch.inference_mode()
def _encoded(dae: Dae, x: Tensor) -> Floats:
    """z_sem (N, D) of images in [-1, 1], one at a time: another batch may round differently."""
    none = np.zeros((0, dae.settings.z_dim))
    encoded = [dae.network.encoder(image[None].to(dae.device)).double().cpu().numpy() for image in x]
    z: Floats = np.concatenate([none, *encoded])
    return z


def _middle(images: np.ndarray) -> np.ndarray:
    """The middle channel (N, H, W) of images (N, C, H, W)."""
    return images[:, images.shape[1] // 2]
