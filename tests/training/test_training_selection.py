"""The weights with the highest score on data that train nothing are the result, also after a stop."""

import os
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from helpers.toy_training import same, toy_batch, toy_loss, toy_network, toy_recipe
from vertegrade.training.interruption import TrainingInterrupted
from vertegrade.training.loop import Training
from vertegrade.training.seeds import own_generators

SCORES = {4: 0.2, 8: 0.9, 12: 0.5}  # by step


def stopping(step: int) -> tuple[Tensor, Tensor]:
    if step == 9:
        os.kill(os.getpid(), signal.SIGTERM)
    return toy_batch(step)


def selected(folder: Path, batch=toy_batch, scores=SCORES):  # type: ignore[no-untyped-def]
    seen: dict[int, dict[str, Tensor]] = {}
    with own_generators(3, "cpu"):
        network = toy_network()
        training: Training

        def score(averaged: nn.Module) -> float:
            seen[training.step] = {name: value.clone() for name, value in averaged.state_dict().items()}
            return scores[training.step]

        recipe = toy_recipe(network, select_every=4)
        training = Training(network, batch, toy_loss, recipe, folder, 3, select=score)
        return training.run(), dict(network.state_dict()), seen


def test_the_best_of_the_looks_is_the_result(tmp_path: Path) -> None:
    figures, weights, seen = selected(tmp_path)
    assert list(seen) == [4, 8, 12]
    assert (figures["best_step"], figures["best_score"]) == (8.0, 0.9)
    assert same(weights, seen[8])
    assert not same(weights, seen[12])


def test_of_equal_scores_the_first_counts(tmp_path: Path) -> None:
    figures, _, _ = selected(tmp_path, scores=dict.fromkeys(SCORES, 0.3))
    assert figures["best_step"] == 4.0


def test_a_stopped_training_remembers_its_best_weights(tmp_path: Path) -> None:
    _, undisturbed, _ = selected(tmp_path / "undisturbed")
    with pytest.raises(TrainingInterrupted):
        selected(tmp_path / "stopped", batch=stopping)
    figures, weights, seen = selected(tmp_path / "stopped")
    assert list(seen) == [12]
    assert figures["best_step"] == 8.0
    assert same(weights, undisturbed)
    assert all(torch.isfinite(value).all() for value in weights.values())
