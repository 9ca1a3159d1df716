"""Pictures of a vertebra at other latents: noise is denoised under z inside the body, the rest stays the patient's.

x_T is noise and nothing else. That of DDIM inversion is not: it keeps so much of the crop that it draws the vertebra
by itself, whatever z says. What must be kept, all but the body, is set at every noise level from the crop.
"""

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Tensor

from vertegrade.arrays import Floats, Floats32, generator_of
from vertegrade.fractures.collapse import COLUMN
from vertegrade.graders.dae.diffusion import Around
from vertegrade.graders.dae.weights import Dae

MARGIN_MM, EDGE_MM = 1.5, 1.0  # drawn around the body, and the seam beyond it
AROUND = [0, 2, 4, 5, 3, 1]  # tables.POINTS in the order of the outline
FINER = 4  # samples per pixel side of an outline
BATCH = 64


def body_masks(points: Floats, side: int, pixel_mm: float, margin_mm: float = 0.0) -> Floats32:
    """1 within bodies and a margin, 0 beyond a seam of EDGE_MM; (N, side, side).

    points: (N, 6, 2) row and column of six points; the walls lie beyond their columns.
    """
    masks = np.empty((len(points), side, side), np.float32)
    for n, six in enumerate(points):
        middle = six[:, 1].mean()
        outline = [((middle + (x - middle) / COLUMN + 0.5) * FINER, (y + 0.5) * FINER) for y, x in six[AROUND]]
        image = Image.new("L", (side * FINER, side * FINER))
        ImageDraw.Draw(image).polygon(outline, fill=1)
        inside = np.asarray(image).reshape(side, FINER, side, FINER).mean(axis=(1, 3)) >= 0.5
        away = ndimage.distance_transform_edt(~inside) * pixel_mm if inside.any() else np.full_like(masks[n], np.inf)
        masks[n] = np.clip((margin_mm + EDGE_MM - away) / EDGE_MM, 0, 1) if margin_mm else inside
    return masks


def noise_of(keys: list[str], seed: int, shape: tuple[int, ...]) -> Floats32:
    """x_T (N, *shape) of vertebrae by their keys: the same vertebra has the same noise in every run of a seed."""
    draws = [generator_of(f"{seed}/{key}").standard_normal(shape) for key in keys]
    return np.array(draws, np.float32).reshape(len(keys), *shape)


@torch.inference_mode()
def decode(dae: Dae, crops: Tensor, noise: Floats32, masks: Floats32, z: Floats, levels: list[int]) -> Tensor:
    """Images (N, C, H, W) in [-1, 1], on the CPU: drawn under z (N, D) where masks (N, H, W) are 1, else the crops.

    crops: (N, C, H, W) in [-1, 1]. noise: x_T of the same shape. levels: falling noise levels (`ddim_levels`).
    """
    drawn = [crops[:0]]
    for start in range(0, len(crops), BATCH):
        part = slice(start, start + BATCH)
        crop, x_last, keep, wanted = (
            torch.as_tensor(np.asarray(values[part], np.float32)).to(dae.device) for values in (crops, noise, masks, z)
        )
        around = Around(keep[:, None], crop, x_last)
        drawn.append(dae.diffusion.render(dae.network.unet, x_last, wanted, levels, around).cpu())
    return torch.cat(drawn)
