"""Processes that train one network together, one on each GPU: torch.distributed, seen from one of them.

In a process without torch.distributed all of this does nothing.
"""

from collections.abc import Callable

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


class Processes:
    """This process among those that train together: `rank` of `count`."""

    def __init__(self) -> None:
        together = distributed.is_initialized()
        self.rank = distributed.get_rank() if together else 0
        self.count = distributed.get_world_size() if together else 1

    @property
    def first(self) -> bool:
        """Whether this process keeps checkpoints, weights and the log of progress."""
        return self.rank == 0

    def together(self, network: nn.Module) -> nn.Module:
        """The network to call in training: its gradients are the mean over all processes after `backward`."""
        return DistributedDataParallel(network, forward_sync_buffers=False) if self.count > 1 else network

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a number over all processes, on the device where it is; in one process, the number itself."""
        if self.count == 1:
            return value
        total = value.double()
        distributed.all_reduce(total)
        return total / self.count

    def agreed(self, reason: str) -> str:
        """Why to stop now, the same step for all; "" where no process has a reason."""
        told = self.count > 1 and self.mean(torch.tensor(float(bool(reason)))) > 0  # on the CPU, by gloo
        return reason or ("another process of this training was asked to stop" if told else "")

    def first_then_others(self, read: Callable[[], None]) -> None:
        """Let the first process read, and perhaps tidy up, before the others read the same files."""
        if not self.first:
            self.wait()
        read()
        if self.first:
            self.wait()

    def require_same(self, value: int, what: str) -> None:
        """RuntimeError unless all processes have the same number."""
        if self.mean(torch.tensor(float(value))) != value:
            raise RuntimeError(
                f"{what} are not the same for all processes: this one found step {value}. A file system that shows "
                "files late does that; start again"
            )

    def wait(self) -> None:
        """Continue when all processes have come here."""
        if self.count > 1:
            distributed.barrier()
