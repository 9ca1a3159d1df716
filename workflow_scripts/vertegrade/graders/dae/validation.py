"""Does the decoder use z_sem? The same noise is removed, and the same noise decoded, with the right z and another's."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from vertegrade.graders.dae.diffusion import NOISE_LEVELS, Diffusion
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.pixels import Crops, hounsfield, windowed
from vertegrade.settings.dae import DaeModelSettings

CROPS = 64
RENDER_STEPS = 20


class Validation:
    """A fixed set of crops without augmentation, with fixed noise and levels spread evenly over the schedule."""

    def __init__(self, crops: Crops, settings: DaeModelSettings, seed: int) -> None:
        chosen = np.random.default_rng(seed).permutation(len(crops))[:CROPS]
        generator = Generator().manual_seed(seed)
        self.x0 = windowed(hounsfield(crops.take(chosen), settings), settings)
        self.noise = torch.randn(self.x0.shape, generator=generator)
        self.t = torch.linspace(0, NOISE_LEVELS - 1, len(chosen)).long()

    @torch.no_grad()
    def losses(self, network: DaeNetwork, diffusion: Diffusion, device: str) -> dict[str, float]:
        """Mean square error of the prediction with the right and with a permuted z, and their ratio."""
        x0, noise, t = (tensor.to(device) for tensor in (self.x0, self.noise, self.t))
        x_t, target = diffusion.noised(x0, noise, t), diffusion.target(x0, noise, t)

        def loss(z: Tensor) -> float:
            return float((network.unet(x_t, t, z) - target).square().mean())

        return _compared("loss", loss, network.encoder(x0))

    @torch.no_grad()
    def reconstruction(self, network: DaeNetwork, diffusion: Diffusion, device: str) -> dict[str, float]:
        """Mean square error, window units, of crops decoded from the fixed noise with the right and a permuted z."""
        x0, noise = self.x0.to(device), self.noise.to(device)

        def error(z: Tensor) -> float:
            return float((diffusion.render(network.unet, noise, z, RENDER_STEPS) - x0).square().mean())

        return _compared("reconstruction", error, network.encoder(x0))


def _compared(name: str, error_of: Callable[[Tensor], float], z: Tensor) -> dict[str, float]:
    right, permuted = error_of(z), error_of(z.roll(1, dims=0))
    return {f"{name}_right_z": right, f"{name}_permuted_z": permuted, f"{name}_ratio": right / permuted}
