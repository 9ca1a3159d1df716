"""A training that SIGTERM stops."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from vertegrade.training.interruption import TrainingInterrupted
from vertegrade.training.loop import Training


@contextmanager
def stopped_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside the block, a training in this process gets SIGTERM in its step `steps`, and must stop by it."""
    step_of_training = Training.train_step

    def train_step(self: Training) -> None:
        step_of_training(self)
        if self.step == steps - 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as context, pytest.raises(TrainingInterrupted):
        context.setattr(Training, "train_step", train_step)
        yield


def stopped_and_resumed(job: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Run a training job of two steps that is stopped in its first one, and started again: it goes on from there."""
    with stopped_after(1, monkeypatch):
        job.run()
    assert not job.weights.exists()
    caplog.set_level("INFO")
    job.run()
    assert "resumed at step 1 of 2" in caplog.text
    assert job.weights.exists()
