"""Averaged (EMA) weights of a network."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """A copy of a network, for use, whose weights are moved towards it after each step.

    move: `move(averaged, current, n)` changes the lists of averaged weights in place after n updates, as `multi_avg_fn`
    of torch's AveragedModel does. That one keeps n on the device, and waits for the device to read it at each update.
    """

    def __init__(self, network: nn.Module, move: Callable[[Any, Any, int], None]) -> None:
        self.network, self.move, self.updates = deepcopy(network).eval().requires_grad_(False), move, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take a step's weights into the average; the first ones are the average."""
        averaged, current = ([*map(Tensor.detach, each.parameters())] for each in (self.network, network))
        if self.updates:
            self.move(averaged, current, self.updates)
        else:
            torch._foreach_copy_(averaged, current)
        for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)
        self.updates += 1

    def state_dict(self) -> dict[str, Tensor]:
        """Weights and their number of updates, for a checkpoint."""
        return self.network.state_dict() | {"updates": torch.tensor(self.updates)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state_dict` gave."""
        self.updates = int(state["updates"])
        self.network.load_state_dict({name: value for name, value in state.items() if name != "updates"})


def moving_average(decay: float) -> Callable[[list[Tensor], list[Tensor], int], None]:
    """Exponential moving average that forgets the random start: decay rises as (1 + n) / (10 + n)."""

    def update(averaged: list[Tensor], current: list[Tensor], n: int) -> None:
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + n) / (10 + n)))

    return update
