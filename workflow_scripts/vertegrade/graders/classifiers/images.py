"""Images as the networks see them: windows as channels, and the bodies channel of patches."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

LARGEST_LABEL = 28.0


def tensors(images: np.ndarray, bodies: str, device: str | torch.device) -> tuple[Tensor, Tensor | None]:
    """HU, float32 (B, S, H, W), and what the networks see of the bodies, the same shape, or None.

    images: int16 crops (B, S, H, W), or patches (B, C, S, H, W). bodies: `none`, `level` (label / 28), or `body` (1 in
    the body at the centre, 0.5 in others). ValueError where bodies are wanted and not there.
    """
    loaded = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    hu = loaded.float() if images.ndim == 4 else loaded[:, 0].float()
    if bodies == "none":
        return hu, None
    if images.ndim == 4 or images.shape[1] < 2:
        raise ValueError("the images have no bodies channel; set patches.bodies, or `bodies: none` of the method")
    label = loaded[:, 1].float()
    if bodies == "level":
        return hu, label / LARGEST_LABEL
    middle = [side // 2 for side in label.shape[1:]]
    own = label[:, middle[0], middle[1], middle[2]].view(-1, 1, 1, 1)
    return hu, torch.where(label == 0, 0.0, torch.where(label == own, 1.0, 0.5))


def channels(hu: Tensor, bodies: Tensor | None, windows: Sequence[Sequence[float]], dimensions: int) -> Tensor:
    """What a network takes, float32: in 2D (B, S * windows, H, W), in 3D (B, windows + bodies, S, H, W).

    Each window is -1 at its lower end and 1 at its upper one; what lies outside is clipped.
    """
    seen = [((hu - low) * (2 / (high - low)) - 1).clamp(-1, 1) for low, high in windows]
    seen += [] if bodies is None else [bodies]
    return torch.cat(seen, dim=1) if dimensions == 2 else torch.stack(seen, dim=1)


def channel_count(slices: int, bodies: str, windows: int, dimensions: int) -> int:
    """Channels of `channels`."""
    return slices * windows if dimensions == 2 else windows + (bodies != "none")
