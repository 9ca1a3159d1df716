"""Steps of latents: what is learned from pairs is found again, and nothing else moves."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from vertegrade.graders.dae import steps as steps_module
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


def test_predictors_of_a_step_by_hand() -> None:
    """The change of losses, of their squares and products, and of each loss times each number of the latent."""
    before, after, z = np.array([[0.1, 0.0, 0.2]]), np.array([[0.5, 0.3, 0.2]]), np.array([[2.0, -1.0]])
    lost = [0.4, 0.3, 0.0]
    products = [0.25 - 0.01, 0.15 - 0.0, 0.10 - 0.02, 0.09 - 0.0, 0.06 - 0.0, 0.04 - 0.04]
    of_vertebra = [0.8, -0.4, 0.6, -0.3, 0.0, 0.0]
    np.testing.assert_allclose(steps_module._design(z, before, after), [[*lost, *products, *of_vertebra]], atol=1e-12)


def test_latents_of_intact_vertebrae_set_mean_and_spread() -> None:
    z, losses, vertebra, patient = crops()
    intact = z[(losses == 0).all(axis=1)]
    steps = fit_steps(z, losses, vertebra, patient, "")
    np.testing.assert_allclose(steps.mean, intact.mean(axis=0))
    np.testing.assert_allclose(steps.scale, intact.std(axis=0))


def test_steps_do_not_depend_on_the_units_of_the_latents() -> None:
    z, losses, vertebra, patient = crops()
    units, shift = np.array([0.01, 1, 3, 10, 50, 400]), np.arange(DIM) * 7.0
    one = fit_steps(z, losses, vertebra, patient, "")
    other = fit_steps(z * units + shift, losses, vertebra, patient, "")
    assert one.ridge == other.ridge
    before, after = np.full((9, 3), 0.1), np.tile([0.4, 0.2, 0.0], (9, 1))
    moved = other.moved(z[:9] * units + shift, before, after)
    np.testing.assert_allclose(moved, one.moved(z[:9], before, after) * units + shift, rtol=1e-6, atol=1e-6)


def test_what_all_vertebrae_share_is_hardly_penalised() -> None:
    z, losses, vertebra, _ = crops()
    first, second = steps_module._pairs(vertebra)
    assert (vertebra[first] == vertebra[second]).all()
    assert len(first) == VERTEBRAE * 4 * 3
    design = steps_module._design(np.zeros_like(z[first]), losses[first], losses[second])
    step = (losses[second] - losses[first]) @ DIRECTIONS
    np.testing.assert_allclose(design @ steps_module._ridge(design, step, 1e6), step, atol=1e-3)


def test_what_differs_between_patients_explains_nothing_of_those_left_out() -> None:
    """Each patient's vertebrae change in a direction of their own: rows left out would be explained by the others."""
    _, losses, vertebra, patient = crops()
    rng = np.random.default_rng(6)
    number = np.unique(patient, return_inverse=True)[1]
    own = rng.normal(size=(number.max() + 1, DIM))[number]
    direction = rng.normal(size=(number.max() + 1, DIM))[number]
    z = own + losses.sum(axis=1, keepdims=True) * direction
    steps = fit_steps(z, losses, vertebra, patient, "")
    assert steps.explained is not None
    assert steps.explained < 0.2
