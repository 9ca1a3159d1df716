"""Does every weight that has a gradient move? An optimiser that changes a copy of a weight fails without a word.

It happened: weights flattened in channels-last memory are copies, and 45 % of the network never learned.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

STEPS = 20  # that are looked at in each process; then also what had no gradient until now is left alone
PATIENCE = 3  # steps in which a weight may have a gradient and stay
NOTHING = 1e-8  # AdamW's epsilon: a smaller gradient may move a weight by less than its last digit


class Guard:
    """Compares the weights before and after the first steps, each until it has moved."""

    def __init__(self, network: nn.Module) -> None:
        self.waiting = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
        self.still = dict.fromkeys(self.waiting, 0)
        self.weights = sum(weight.numel() for weight in self.waiting.values())
        self.steps = 0

    @contextmanager
    def step(self, learning_rate: float) -> Iterator[None]:
        """Around the optimisers' step; RuntimeError where weights with gradients stay as they were.

        It waits for the device, but only until all weights have moved, usually after three or four steps.
        """
        if not self.waiting or not learning_rate:
            yield
            return
        before = {name: weight.detach().clone() for name, weight in self.waiting.items()}
        yield
        facts = [
            torch.stack([(weight.detach() != before[name]).any(), weight.grad.abs().max() > NOTHING])
            for name, weight in self.waiting.items()
            if weight.grad is not None
        ]
        named = [name for name, weight in self.waiting.items() if weight.grad is not None]
        for name, (moved, pulled) in zip(named, torch.stack(facts).tolist() if facts else [], strict=True):
            self.still[name] += pulled and not moved
            if moved:
                del self.waiting[name]
        self._refuse([name for name in self.waiting if self.still[name] >= PATIENCE])
        self.steps += 1
        if self.steps == STEPS:
            self.waiting.clear()

    def _refuse(self, stuck: list[str]) -> None:
        if stuck:
            share = sum(self.waiting[name].numel() for name in stuck) / self.weights
            raise RuntimeError(
                f"{len(stuck)} tensors ({share:.1%} of the weights) had a gradient in {PATIENCE} steps and did not "
                f"move, such as {', '.join(stuck[:3])}: the optimiser changes copies of them (a flattened weight of "
                "another memory format?), or the learning rate is too small to change their last digit"
            )
