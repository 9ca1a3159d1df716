"""Steps of latents: what is learned from pairs is found again, and nothing else moves."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from vertegrade.graders.dae.steps import Steps, fit_steps
from vertegrade.weights import WeightsError

DIM, VERTEBRAE = 6, 60
RNG = np.random.default_rng(0)
DIRECTIONS = RNG.normal(size=(3, DIM))
ON_VERTEBRA = 0.3 * RNG.normal(size=(DIM, DIM))


def true_step(z: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    lost = after - before
    squares = (after**2 - before**2) @ (0.5 * DIRECTIONS)
    return lost @ DIRECTIONS + squares + lost[:, :1] * (z @ ON_VERTEBRA)


def crops() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Latents of vertebrae as they are and with three losses each, with a little noise."""
    rng = np.random.default_rng(1)
    own = rng.normal(size=(VERTEBRAE, DIM))
    losses = np.concatenate([np.zeros((VERTEBRAE, 1, 3)), rng.uniform(0, 0.6, (VERTEBRAE, 3, 3))], axis=1)
    z = own[:, None] + np.stack([true_step(own, np.zeros((VERTEBRAE, 3)), losses[:, n]) for n in range(4)], axis=1)
    z += 0.01 * rng.normal(size=z.shape)
    vertebra = np.repeat(np.arange(VERTEBRAE), 4)
    return z.reshape(-1, DIM), losses.reshape(-1, 3), vertebra, np.array([f"p{n // 2}" for n in vertebra])


def test_steps_between_any_two_losses_are_found() -> None:
    steps = fit_steps(*crops(), "sha")
    assert (steps.vertebrae, steps.patients, steps.model_sha256) == (VERTEBRAE, VERTEBRAE // 2, "sha")
    assert steps.explained is not None
    assert steps.explained > 0.9
    z = np.random.default_rng(2).normal(size=(50, DIM))
    none, wedge = np.zeros((50, 3)), np.tile([0.5, 0.3, 0.05], (50, 1))
    wanted = true_step(z, none, wedge)
    error = steps.moved(z, none, wedge) - z - wanted
    assert np.sqrt((error**2).mean()) < 0.4 * np.sqrt((wanted**2).mean())


def test_no_change_of_the_losses_is_no_step() -> None:
    steps = fit_steps(*crops(), "sha")
    z, losses = crops()[0][:5], np.full((5, 3), 0.2)
    np.testing.assert_array_equal(steps.moved(z, losses, losses), z)


def test_the_penalty_is_chosen_by_patients_left_out() -> None:
    z, losses, vertebra, patient = crops()
    noise = np.random.default_rng(3).normal(size=z.shape)
    noise[(losses == 0).all(axis=1)] = 0
    assert fit_steps(z, losses, vertebra, patient, "").ridge < fit_steps(noise, losses, vertebra, patient, "").ridge


def test_too_few_vertebrae_give_no_steps() -> None:
    z, losses, vertebra, patient = crops()
    for rows in (slice(0, 4), slice(0, 0)):
        steps = fit_steps(z[rows], losses[rows], vertebra[rows], patient[rows], "sha")
        assert (steps.vertebrae, steps.explained) == (0, None)
        np.testing.assert_array_equal(steps.moved(z[:2], losses[:2], losses[1:3]), z[:2])


def test_one_patient_leaves_nobody_out() -> None:
    z, losses, vertebra, patient = (part[:40] for part in crops())
    assert fit_steps(z, losses, vertebra, np.full_like(patient, "p"), "").explained is None


def test_steps_come_back_from_their_file_and_the_file_is_the_same(tmp_path: Path) -> None:
    steps = fit_steps(*crops(), "sha")
    for name in ("a", "b"):
        steps.write(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    back = Steps.read(tmp_path / "a")
    for name, value in vars(steps).items():
        np.testing.assert_array_equal(getattr(back, name), value)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    save_file({"mean": np.zeros(2)}, tmp_path / "steps.safetensors")
    with pytest.raises(WeightsError, match="not the steps of this DAE; fit them again"):
        Steps.read(tmp_path / "steps.safetensors")
