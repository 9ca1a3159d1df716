"""Does the decoder use z_sem? The same noise is removed, and the same noise decoded, with the right z and another's."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from vertegrade.graders.crops import Crops
from vertegrade.graders.dae.diffusion import NOISE_LEVELS, Diffusion, ddim_levels
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.pixels import hounsfield, windowed
from vertegrade.settings.dae import DaeModelSettings

CHOSEN = 64
RENDER_STEPS = 20


class Validation:
    """A fixed set of crops without augmentation, with fixed noise and levels spread evenly over the schedule."""

    def __init__(self, crops: Crops, settings: DaeModelSettings, seed: int, device: str) -> None:
        self.diffusion = Diffusion(settings)
        chosen = np.random.default_rng(seed).permutation(len(crops))[:CHOSEN]
        generator = Generator().manual_seed(seed)
        self.x0 = windowed(hounsfield(crops.take(chosen), settings), settings).to(device)
        self.noise = torch.randn(self.x0.shape, generator=generator).to(device)
        self.t = torch.linspace(0, NOISE_LEVELS - 1, len(chosen)).long().to(device)

    @torch.no_grad()
    def losses(self, network: DaeNetwork) -> dict[str, float]:
        """Mean square error of the prediction with the right and with a permuted z, and their ratio."""
        x_t = self.diffusion.noised(self.x0, self.noise, self.t)
        target = self.diffusion.target(self.x0, self.noise, self.t)

        def loss(z: Tensor) -> float:
            return float((network.unet(x_t, self.t, z) - target).square().mean())

        return _compared("loss", loss, network.encoder(self.x0))

    @torch.no_grad()
    def reconstruction(self, network: DaeNetwork) -> dict[str, float]:
        """Mean square error, window units, of crops decoded from the fixed noise with the right and a permuted z."""

        def error(z: Tensor) -> float:
            drawn = self.diffusion.render(network.unet, self.noise, z, ddim_levels(RENDER_STEPS))
            return float((drawn - self.x0).square().mean())

        return _compared("reconstruction", error, network.encoder(self.x0))


def _compared(name: str, error_of: Callable[[Tensor], float], z: Tensor) -> dict[str, float]:
    right, permuted = error_of(z), error_of(z.roll(1, dims=0))
    return {f"{name}_right_z": right, f"{name}_permuted_z": permuted, f"{name}_ratio": right / permuted}
