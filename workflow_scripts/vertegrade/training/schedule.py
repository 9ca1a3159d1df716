"""How the learning rate changes over a training."""

import math


def rate_share(step: int, steps: int, warmup_steps: int, schedule: str) -> float:
    """Share of the learning rate at a step: linear warm-up, then `constant`, or `cosine`: half a cosine to zero."""
    warm = min(1.0, (step + 1) / (warmup_steps + 1))
    return warm if schedule == "constant" else warm * 0.5 * (1 + math.cos(math.pi * step / steps))
