"""How far a long job is: one line in its log every half a minute, with the time that is left."""

import logging
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

EVERY_S = 30.0  # a person who looks into a log sees that it goes on; a day of work is 3,000 lines


class Progress:
    """What is done of `total` things, from `first` on. The time left follows from the speed since then."""

    def __init__(self, log: logging.Logger, what: str, total: int, first: int = 0) -> None:
        self.log, self.what, self.total, self.first = log, what, total, first
        self.started = self.said = time.monotonic()

    def at(self, done: int) -> None:
        """Say how many are done, where the last line is long ago and something is left."""
        now = time.monotonic()
        if now - self.said < EVERY_S or not self.first < done < self.total:
            return
        self.said = now
        left = (now - self.started) / (done - self.first) * (self.total - done)
        percent = 100 * done // self.total
        self.log.info("%s: %d of %d (%d %%), about %s left", self.what, done, self.total, percent, spoken(left))


def progress(items: Sequence[T], log: logging.Logger, what: str) -> Iterator[T]:
    """The items, one after the other; the log tells how many are done."""
    told = Progress(log, what, len(items))
    for done, item in enumerate(items):
        told.at(done)
        yield item


def spoken(seconds: float) -> str:
    """A duration as people say it: 40 s, 12 min, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
