"""What a vertebra would look like at another z_sem: x_T by DDIM inversion keeps the patient, z decides the grade."""

from dataclasses import dataclass

import numpy as np
import torch

from vertegrade.graders.dae.pixels import hounsfield, to_hu, windowed
from vertegrade.graders.dae.weights import Dae


@dataclass(frozen=True)
class Counterfactuals:
    """Images in HU within the DAE's window, of its channels (slices, or one slab) only.

    original (M, C, H, W) the crop as the network sees it; reconstruction (M, C, H, W) decoded at its own z;
    images (M, K, C, H, W) decoded at the K target latents; reconstruction_error_hu (M,) root mean square
    difference between original and reconstruction: what of a counterfactual's change is not due to z; z_decoded
    (M, K, z_dim) the images encoded again: whether the encoder sees in them what was asked for.
    """

    original: np.ndarray
    reconstruction: np.ndarray
    images: np.ndarray
    reconstruction_error_hu: np.ndarray
    z_decoded: np.ndarray


def counterfactuals(
    dae: Dae, pixels: np.ndarray, z: np.ndarray, z_targets: np.ndarray, inversion_steps: int, render_steps: int
) -> Counterfactuals:
    """Decode crops (M, S, H, W) int16 HU with latents z (M, z_dim) at z_targets (M, K, z_dim), raw latent space."""
    if not len(pixels):
        none = np.zeros((0, z_targets.shape[1], dae.settings.image_channels, *dae.crop_shape[1:]), np.int16)
        return Counterfactuals(none[:, 0], none[:, 0], none, np.zeros(0), np.zeros(z_targets.shape))
    rows = [
        _one(dae, pixels[m : m + 1], z[m : m + 1], z_targets[m], inversion_steps, render_steps)
        for m in range(len(pixels))
    ]
    original, decoded, encoded = (np.stack(column) for column in zip(*rows, strict=True))
    error = np.sqrt(np.square(original.astype(float) - decoded[:, 0]).mean(axis=(1, 2, 3)))
    return Counterfactuals(original, decoded[:, 0], decoded[:, 1:], error, encoded[:, 1:])


def _one(
    dae: Dae, pixels: np.ndarray, z: np.ndarray, z_targets: np.ndarray, inversion_steps: int, render_steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The crop (C, H, W), its decodings at its own z and at the targets (1 + K, C, H, W), their z (1 + K, z_dim)."""
    with torch.inference_mode():
        x0 = windowed(hounsfield(pixels, dae.settings), dae.settings).to(dae.device)
        own = torch.from_numpy(np.asarray(z, np.float32)).to(dae.device)
        wanted = torch.cat([own, torch.from_numpy(np.asarray(z_targets, np.float32)).to(dae.device)])
        x_last = dae.diffusion.invert(dae.network.unet, x0, own, inversion_steps)
        decoded = dae.diffusion.render(dae.network.unet, x_last.expand(len(wanted), -1, -1, -1), wanted, render_steps)
        encoded = dae.network.encoder(decoded).double().cpu().numpy()
    return to_hu(x0[0], dae.settings), to_hu(decoded, dae.settings), encoded
