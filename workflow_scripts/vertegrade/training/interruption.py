"""Asking a training to stop in time: SIGTERM, SIGUSR1, or the end of the SLURM job."""

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

EXIT_CODE = 75  # EX_TEMPFAIL: the job did not fail, it should be submitted again.
MARGIN_S = 300.0


class TrainingInterrupted(SystemExit):
    """The training saved its state and stopped; the process ends with exit code 75 unless this is caught."""

    def __init__(self, reason: str) -> None:
        super().__init__(EXIT_CODE)
        self.reason = reason


class Interruption:
    """Inside the block, signals only set a flag, so that a step and its checkpoint are always finished."""

    def __init__(self) -> None:
        self.received = ""  # the signal's name
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        # Python allows handlers in the main thread only; elsewhere the wall clock alone is watched.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGUSR1):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name

    def reason(self) -> str:
        """Why to stop now, or "" to continue."""
        if self.received:
            return self.received
        # SLURM sets the end of the job (seconds since 1970) for every task; signals need not reach us.
        end = os.environ.get("SLURM_JOB_END_TIME", "")
        return "SLURM_JOB_END_TIME is near" if end.isdigit() and time.time() > float(end) - MARGIN_S else ""
