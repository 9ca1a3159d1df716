"""Where in a crop the severity comes from: maps of what makes it differ from an average intact vertebra.

Both ways ask the same: what if this part of the crop were that of the average intact vertebra? A black box or a blurred
crop would ask something else. A black box is like nothing that the encoder knows, and a blurred crush is still a crush:
blurred by 4 mm, fractures of the demo keep 93 % of their severity (docs/results/counterfactuals.md).
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from vertegrade.arrays import Floats, Floats32
from vertegrade.threads import fixed_threads

STEPS = 16  # of the path; on the demo the maps then add up to the score within 0.001 grades
PATCH_MM, GRID_MM = 3.0, 6.0  # standard deviation of a patch, and between the centres of patches
PATCHES, BLOBS, BLOB_MM = 20, 3, (2.0, 5.0)  # of the random ones that maps are checked by
BATCH = 64


@dataclass(frozen=True, eq=False)
class Sight:
    """What the severity is read from. direction: (D,) of z, in grades (grading.severity_direction)."""

    encoder: nn.Module
    direction: Floats
    device: torch.device

    def scores(self, images: Floats32) -> Floats:
        """z . direction (N,) of images (N, C, H, W) in [-1, 1]."""
        parts = [np.zeros(0)]
        with torch.inference_mode(), fixed_threads():
            for start in range(0, len(images), BATCH):
                parts.append(self._score(self._tensor(images[start : start + BATCH])).double().cpu().numpy())
        return np.concatenate(parts)

    def gradients(self, images: Floats32) -> Floats32:
        """Of the scores by every pixel, of the shape of images."""
        found = np.empty_like(images)
        with fixed_threads():
            for start in range(0, len(images), BATCH):
                x = self._tensor(images[start : start + BATCH]).requires_grad_(True)
                found[start : start + BATCH] = torch.autograd.grad(self._score(x).sum(), x)[0].cpu().numpy()
        return found

    def shuffled(self, seed: int) -> "Sight":
        """The same with the encoder's weights in random order within each layer: it has learned nothing."""
        encoder = copy.deepcopy(self.encoder)
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weights in encoder.parameters():
                order = torch.randperm(weights.numel(), generator=random).to(weights.device)
                weights.copy_(weights.flatten()[order].reshape(weights.shape))
        return Sight(encoder, self.direction, self.device)

    def _tensor(self, images: Floats32) -> Tensor:
        return torch.tensor(images, dtype=torch.float32, device=self.device)

    def _score(self, x: Tensor) -> Tensor:
        z: Tensor = self.encoder(x)
        return z.float() @ torch.tensor(self.direction, dtype=torch.float32, device=x.device)


def integrated_gradients(sight: Sight, images: Floats32, references: Floats32) -> Floats:
    """Maps (N, H, W) of how many grades each pixel raises images above references, both (N, C, H, W) in [-1, 1].

    The gradient is averaged along the straight line between the two (Sundararajan et al., ICML 2017, formula 1), so the
    pixels of a map add up to the difference of the scores.
    """
    total = np.zeros(images.shape, np.float64)
    for step in range(STEPS):
        part = np.float32((step + 0.5) / STEPS)
        total += sight.gradients(references + part * (images - references))
    maps: Floats = ((images - references) * total / STEPS).sum(axis=1)
    return maps


def occlusion(sight: Sight, images: Floats32, references: Floats32, pixel_mm: float) -> Floats:
    """Maps (N, H, W) of how many grades are lost where a soft patch of the image becomes that of its reference.

    After Zeiler and Fergus (ECCV 2014), with Gaussian patches on a grid. A pixel has the mean of the patches that cover
    it, each weighing as much as it covers.
    """
    patches = soft_patches(images.shape[-1], pixel_mm)
    covered = patches.sum(axis=0)
    maps = [
        np.tensordot(_lost(sight, *pair, patches), patches, axes=1) / covered
        for pair in zip(images, references, strict=True)
    ]
    return np.array(maps, np.float64).reshape(len(images), *covered.shape)


def soft_patches(side: int, pixel_mm: float) -> Floats32:
    """Gaussian patches (P, side, side), 1 in their middle, on a grid over the crop."""
    pixels = np.arange(side)
    count = max(1, round(side * pixel_mm / GRID_MM))
    centres = (np.arange(count) + 0.5) * side / count - 0.5
    lines = np.exp(-((pixels - centres[:, None]) ** 2) / (2 * (PATCH_MM / pixel_mm) ** 2))
    return np.einsum("ay,bx->abyx", lines, lines).reshape(-1, side, side).astype(np.float32)


def as_coarse_as_occlusion(maps: Floats, pixel_mm: float) -> Floats:
    """Maps (N, H, W) with as little detail as those by occlusion: patches blur twice, as they cover and as drawn."""
    sd = np.sqrt(2) * PATCH_MM / pixel_mm
    smooth: Floats = ndimage.gaussian_filter(maps, (0, sd, sd))
    return smooth


def agreement(
    sight: Sight,
    images: Floats32,
    references: Floats32,
    maps: dict[str, Floats],
    pixel_mm: float,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """How well maps foretell what random parts of the crop count for: correlation (N,) over these parts, by map.

    Each part is three soft blobs of random places and sizes that become those of the reference; a map foretells the sum
    of its pixels there (sensitivity-n of Ancona et al., ICLR 2018).
    """
    parts = _blobs(images.shape[-1], pixel_mm, rng)
    lost = np.array([_lost(sight, *pair, parts) for pair in zip(images, references, strict=True)]).reshape(-1, PATCHES)
    return {
        name: _correlations(lost, np.tensordot(of, parts, axes=([1, 2], [1, 2])).reshape(-1, PATCHES))
        for name, of in maps.items()
    }


def _lost(sight: Sight, image: Floats32, reference: Floats32, parts: Floats32) -> Floats:
    """Score that an image (C, H, W) loses with each part (P, H, W) of its reference."""
    scores = sight.scores(np.concatenate([image[None], image + parts[:, None] * (reference - image)]))
    lost: Floats = scores[0] - scores[1:]
    return lost


def _blobs(side: int, pixel_mm: float, rng: np.random.Generator) -> Floats32:
    rows, columns = np.mgrid[:side, :side]
    parts = np.zeros((PATCHES, side, side), np.float32)
    for part in parts:
        for _ in range(BLOBS):
            y, x = rng.uniform(0, side - 1, 2)
            sd = rng.uniform(*BLOB_MM) / pixel_mm
            np.maximum(
                part, np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sd**2)), out=part, casting="same_kind"
            )
    return parts


def _correlations(one: Floats, other: Floats) -> Floats:
    """Pearson's r (N,) of the rows of two arrays (N, P); 0 where one of them does not vary."""
    one, other = (values - values.mean(axis=1, keepdims=True) for values in (one, other))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    r: Floats = np.divide((one * other).sum(axis=1), lengths, out=np.zeros(len(one)), where=lengths > 0)
    return r
