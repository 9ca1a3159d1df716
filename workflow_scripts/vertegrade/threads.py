"""How many threads a network computes with where its output is graded: always as many, whatever the machine.

The last digits of convolutions depend on it: with one thread instead of two a height of a real scan moves by 0.01 mm.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

THREADS = 1  # what the rules ask for; a second one gains a tenth on volumes of this size, a second job twice as much


@contextmanager
def fixed_threads() -> Iterator[None]:
    """Let torch compute with THREADS threads, and afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
