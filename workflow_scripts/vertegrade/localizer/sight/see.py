"""What the image shows at the places of vertebral bodies: whether there is a body, and which way round it lies.

A small network gives every patch two numbers: how much it looks like a body that lies as it should, and how much like
a body's centre. Each patch is looked at four times: unturned, and with its rows, its columns or both reversed. The
view that looks best shows which way the body really lies. So one network that knows upright bodies knows the others.

Trained with torch (network.py), computed here by numpy alone: given landmarks need not wait for torch's import.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import log_softmax

from vertegrade.ct.volume import AIR_HU, Volume, mm_to_voxel, voxel_to_mm
from vertegrade.localizer.centreline.low_resolution import block_means
from vertegrade.localizer.straight_image import straight_image, windowed
from vertegrade.settings.spine import CropSettings
from vertegrade.spine.centreline import fit_centreline
from vertegrade.weights import WeightsError, read_arrays

KIND = "vertegrade-sight-1"
# A patch: SLABS sagittal slabs 6 mm apart, SIZE x SIZE pixels of 2.5 mm, a body's centre in its middle.
SLABS, SIZE = 5, 40
GEOMETRY = CropSettings(size=56, pixel_mm=2.5, slices=7, slice_spacing_mm=6.0)
STRIDES = {"first": 2, "second": 2, "third": 1, "fourth": 2}
BEYOND_MM = 52.0
ASIDE_MM, AROUND_MM = 45.0, 110.0  # of the centres, what is kept of the scan to the sides, to the front and the back
COARSE_MM = 2.0
SMOOTHING_MM, APART_MM = 30.0, 3.0
# The ways of turning a patch round, (rows, columns): unturned, front and back, head and feet, both exchanged.
WAYS = ((False, False), (False, True), (True, False), (True, True))


@dataclass(frozen=True)
class Sight:
    """Weights of the trained network, float32 by name."""

    weights: dict[str, np.ndarray]


@dataclass(frozen=True)
class Seen:
    """What is seen at n places.

    way_log_p: (n, 4), log probabilities that the body there lies as each of WAYS. body_logit: (n,), log odds that the
    place is the centre of a vertebral body.
    """

    way_log_p: np.ndarray
    body_logit: np.ndarray


def load_sight(path: str | Path) -> Sight:
    """The network of a weights file; WeightsError where it is missing, damaged or another one."""
    weights, metadata = read_arrays(path, "localizer")
    if metadata.get("kind") != KIND:
        raise WeightsError(f"{path}: weights of {metadata.get('kind')!r}, needed {KIND!r}; train the localizer again")
    return Sight(weights)


def see(volume: Volume, centres_mm: np.ndarray, sight: Sight) -> Seen:
    """What the scan shows at places (n, 3), RAS mm; the axes are those that the affine claims."""
    return from_patches(patches(volume, centres_mm), sight)


def patches(volume: Volume, centres_mm: np.ndarray) -> np.ndarray:
    """int16 HU (n, SLABS, SIZE, SIZE) around places (n, 3), RAS mm, along the smooth line through them."""
    line = fit_centreline(_knots(centres_mm), SMOOTHING_MM)
    coarse = _coarse(volume, centres_mm)
    image = straight_image(coarse, line, -BEYOND_MM, float(line.arcs[-1]) + BEYOND_MM, GEOMETRY)
    places = np.rint(np.nan_to_num(image.to_pixels(centres_mm), nan=-1e6)).astype(int)
    half, side = SIZE // 2, SLABS // 2
    room = ((SLABS, SLABS), (SIZE, SIZE), (SIZE, SIZE))
    padded = np.pad(image.pixels, room, constant_values=AIR_HU)
    # Places far beyond the image see nothing but air.
    places = np.clip(places, -half, np.array(image.pixels.shape) + half) + np.array([SLABS, SIZE, SIZE])
    places[:, 0] = np.clip(places[:, 0], side, len(padded) - 1 - side)
    return np.stack(
        [padded[s - side : s + side + 1, r - half : r + half, c - half : c + half] for s, r, c in places.tolist()]
    )


def _knots(centres_mm: np.ndarray) -> np.ndarray:
    """The places (n, 3) from head to feet; of those less than APART_MM below another only the upper one."""
    ordered = centres_mm[np.argsort(-centres_mm[:, 2], kind="stable")]
    kept = [ordered[0]]
    for place in ordered[1:]:
        if kept[-1][2] - place[2] >= APART_MM:
            kept.append(place)
    return np.stack(kept)


def _coarse(volume: Volume, centres_mm: np.ndarray) -> Volume:
    """What of the scan lies around the places, as means over blocks of voxels of up to COARSE_MM."""
    reach = np.array([ASIDE_MM, AROUND_MM, BEYOND_MM + AROUND_MM])
    low, high = centres_mm.min(axis=0) - reach, centres_mm.max(axis=0) + reach
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
    voxels = mm_to_voxel(volume.affine, corners)
    shape = np.array(volume.hu.shape)
    first = np.clip(np.floor(voxels.min(axis=0)).astype(int), 0, shape - 1)
    last = np.clip(np.ceil(voxels.max(axis=0)).astype(int), first, shape - 1)
    factors = np.clip((COARSE_MM / volume.spacing_mm).astype(int), 1, last - first + 1)
    part = volume.hu[tuple(slice(low, high + 1) for low, high in zip(first, last, strict=True))]
    affine = volume.affine @ np.diag([*factors.astype(float), 1.0])
    affine[:3, 3] = voxel_to_mm(volume.affine, first + (factors - 1) / 2)
    return Volume(np.rint(block_means(part, factors)).astype(np.int16), affine)


def from_patches(hu: np.ndarray, sight: Sight) -> Seen:
    """What patches, HU (n, SLABS, SIZE, SIZE), show."""
    x = windowed(hu.astype(np.float32))
    numbers = np.stack([_network(turned(x, way), sight.weights) for way in WAYS], axis=1)
    return Seen(log_softmax(numbers[:, :, 0].astype(np.float64), axis=1), numbers[:, :, 1].mean(axis=1))


def turned(x: np.ndarray, way: tuple[bool, bool]) -> np.ndarray:
    """Patches (..., rows, columns) with rows and columns in the other order where `way` says so."""
    return x[..., :: -1 if way[0] else 1, :: -1 if way[1] else 1]


def _network(x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """The network of network.py in evaluation mode: (n, SLABS, SIZE, SIZE), -1 to 1, to (n, 2)."""
    for name, stride in STRIDES.items():
        x = np.maximum(_convolved(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride), 0)
    hidden = np.maximum(x.reshape(len(x), -1) @ weights["hidden.weight"].T + weights["hidden.bias"], 0)
    found: np.ndarray = hidden @ weights["last.weight"].T + weights["last.bias"]
    return found


def _convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """torch's conv2d of x (n, c, h, w) with weight (o, c, k, k), padded by k // 2."""
    k = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    windows = sliding_window_view(padded, (k, k), axis=(2, 3))[:, :, ::stride, ::stride]
    found = np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))) + bias
    return np.ascontiguousarray(found.transpose(0, 3, 1, 2))
