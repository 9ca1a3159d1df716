"""Random changes of training images, by MONAI's transforms, each image by a seed of its own.

Images are interpolated linearly and bodies are not (nearest voxel), along the same grid. All is done in HU, before the
windows, so that a window cuts off what a scanner would show there.
"""

import math

import torch
from monai.data import set_track_meta
from monai.transforms import (
    Compose,
    RandAffined,
    RandCoarseDropoutd,
    RandGaussianNoised,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from torch import Tensor

from vertegrade.settings.classifiers import ClassifierAugmentSettings
from vertegrade.training.seeds import step_seed

HOLE_HU = -1024.0
HOLES_IN = 0.5  # share of images with holes


class Augmentation:
    """The changes of a method's training. dimensions: 2 or 3, of what is turned and shifted together."""

    def __init__(self, settings: ClassifierAugmentSettings, dimensions: int, side: int) -> None:
        set_track_meta(False)
        self.mirror, self.dimensions = settings.mirror, dimensions
        angle = math.radians(settings.rotate_deg)
        affine = RandAffined(
            keys=("hu", "bodies"),
            prob=1.0,
            rotate_range=(angle,) * (3 if dimensions == 3 else 1),
            scale_range=(settings.zoom,) * dimensions,
            translate_range=(settings.shift,) * dimensions,
            mode=("bilinear", "nearest"),
            padding_mode="border",
            allow_missing_keys=True,
        )
        steps = [affine, RandScaleIntensityd("hu", factors=settings.gain, prob=1.0)]
        steps += [RandShiftIntensityd("hu", offsets=settings.offset_hu, prob=1.0)]
        if settings.noise_hu:
            steps += [RandGaussianNoised("hu", prob=1.0, std=settings.noise_hu, sample_std=False)]
        if settings.holes:
            hole = max(1, side // 6)
            steps += [
                RandCoarseDropoutd("hu", holes=settings.holes, spatial_size=hole, fill_value=HOLE_HU, prob=HOLES_IN)
            ]
        self.steps = Compose(steps)

    def __call__(self, hu: Tensor, bodies: Tensor | None, seed: int) -> tuple[Tensor, Tensor | None]:
        """Changed HU and bodies (B, S, H, W), all that is random following from the seed alone."""
        changed = [self._one(hu[n], None if bodies is None else bodies[n], step_seed(seed, n)) for n in range(len(hu))]
        images = torch.stack([image for image, _ in changed])
        return images, None if bodies is None else torch.stack([body for _, body in changed if body is not None])

    def _one(self, hu: Tensor, bodies: Tensor | None, seed: int) -> tuple[Tensor, Tensor | None]:
        given = {"hu": hu} if bodies is None else {"hu": hu, "bodies": bodies}
        if self.mirror and seed % 2:
            given = {name: image.flip(0) for name, image in given.items()}  # slices run from right to left
        if self.dimensions == 3:
            given = {name: image[None] for name, image in given.items()}
        self.steps.set_random_state(seed % 2**32)
        changed = {name: torch.as_tensor(image) for name, image in self.steps(given).items()}
        if self.dimensions == 3:
            changed = {name: image[0] for name, image in changed.items()}
        return changed["hu"].float(), changed.get("bodies")
