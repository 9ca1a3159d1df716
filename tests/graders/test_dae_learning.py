"""What the DAE learns: its batches, loss, weights and average by hand; whom it learns from; what its figures say."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Generator, Tensor, nn

from helpers.dae_job import training_job
from helpers.tiny_dae import MODEL, TRAIN, pixels
from vertegrade.graders.crops import Crops
from vertegrade.graders.dae import training
from vertegrade.graders.dae import training_job as job_module
from vertegrade.graders.dae.augmentation import augmented
from vertegrade.graders.dae.diffusion import UNKNOWN, Diffusion
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.pixels import windowed
from vertegrade.graders.dae.training import DaeLearning, centre_weight, learning_rate, noise_levels, recipe, train_dae
from vertegrade.graders.dae.validation import Validation
from vertegrade.tables import PATIENT_SPLITS, check_table
from vertegrade.training.average import Average
from vertegrade.training.loop import Training
from vertegrade.training.states import States


def learning(**settings: Any) -> DaeLearning:
    return DaeLearning(Crops([pixels()]), MODEL, TRAIN.model_copy(update=settings), 7, "cpu")


def handed(monkeypatch: pytest.MonkeyPatch, at_work: DaeLearning, step: int) -> tuple[Tensor, ...]:
    """A batch, and before it what the augmentation gave for it: drawn and seen."""
    given: list[Tensor] = []

    def recorded(*arguments: Any) -> tuple[Tensor, Tensor]:
        given.extend(augmented(*arguments))
        return given[0], given[1]

    monkeypatch.setattr(training, "augmented", recorded)
    return (*at_work.batch(step), *given)


def test_the_encoder_sees_one_image_and_the_decoder_draws_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = learning(batch_size=12)
    for step in (0, 3):
        seen, x_t, t, target, drawn, to_see = handed(monkeypatch, at_work, step)
        torch.testing.assert_close(seen, windowed(to_see, MODEL))
        noise = at_work.diffusion.noise_of(target, x_t, t)
        signal, sigma = at_work.diffusion.amounts(t)
        x0 = windowed(drawn, MODEL)
        torch.testing.assert_close(signal * x0 + sigma * noise, x_t, rtol=0, atol=1e-3)
        assert noise.std() == pytest.approx(1, abs=0.05)
        assert noise.mean() == pytest.approx(0, abs=0.05)
        assert not torch.allclose(drawn, to_see, atol=5)


def test_every_step_has_its_own_crops_and_noise() -> None:
    at_work = learning(batch_size=12)
    one, two, again = at_work.batch(0), at_work.batch(1), at_work.batch(0)
    assert torch.equal(one[1], again[1])
    assert not torch.equal(one[2], two[2])


def test_processes_share_a_batch_and_draw_for_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def plain(hu: Tensor, settings: Any, generator: Generator) -> tuple[Tensor, Tensor]:
        asked.append(hu)
        return hu, hu

    monkeypatch.setattr(training, "augmented", plain)
    parts = []
    for rank in range(2):
        at_work = learning(batch_size=12)
        monkeypatch.setattr(at_work, "processes", type("Two", (), {"rank": rank, "count": 2}))
        parts.append(at_work.batch(0))
    shared = torch.cat(asked)
    assert len(shared) == 12
    assert len(torch.unique(shared.flatten(1), dim=0)) == 12  # no crop twice
    assert not torch.equal(parts[0][2], parts[1][2])


def test_levels_of_the_batch_are_as_noisy_as_asked() -> None:
    high = learning(batch_size=12, high_noise=1.0).batch(0)[2]
    assert high.min() >= 750


def test_a_share_of_the_levels_is_noisy_and_the_others_are_spread_evenly() -> None:
    t = noise_levels(8000, 0.2, Generator().manual_seed(0)).float()
    assert (t >= 750).float().mean() == pytest.approx(0.2 + 0.8 * 0.25, abs=0.02)
    assert t[t < 750].mean() == pytest.approx(375, abs=15)


def test_the_loss_is_the_weighted_square_error() -> None:
    at_work = learning(edge_weight=0.05)
    target = torch.zeros(2, 3, 16, 16)
    prediction = torch.zeros_like(target)
    prediction[:, :, 8, 8], prediction[:, :, 0, 0] = 3.0, 5.0

    class Network(nn.Module):
        def forward(self, seen: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
            return prediction

    weight = centre_weight(16, 0.05)
    wanted = (9 * weight[8, 8] + 25 * weight[0, 0]) / 16**2
    assert at_work.loss(Network(), target, target, torch.zeros(2), target) == pytest.approx(float(wanted))
    assert weight[8, 8] > 15 * weight[0, 0]


def test_the_plateau_of_the_weight_is_higher_than_wide() -> None:
    """Half of it is gone at 0.7 of the rows and 0.6 of the columns."""
    size = 401
    weight = centre_weight(size, 0.0)
    middle, peak = size // 2, float(weight.max())
    rows, columns = weight[:, middle] / peak, weight[middle] / peak
    for along, half in ((rows, 0.684), (columns, 0.570)):
        place = torch.linspace(-1, 1, size).abs()
        assert place[along > 0.5].max() == pytest.approx(half, abs=0.01)
        assert along[(place < 0.3)].min() > 0.94  # a plateau


def test_the_average_forgets_its_start_and_then_its_decay_holds() -> None:
    move = recipe(nn.Linear(2, 2), TRAIN.model_copy(update={"ema_decay": 0.9})).average
    for n, decay in ((1, 2 / 11), (10, 11 / 20), (80, 81 / 90), (1000, 0.9)):
        averaged, current = [torch.tensor([1.0])], [torch.tensor([0.0])]
        move(averaged, current, n)
        assert averaged[0].item() == pytest.approx(decay, rel=1e-5)


def test_the_average_starts_at_the_first_weights_and_counts_its_updates() -> None:
    network = nn.Linear(1, 1, bias=False)
    counts: list[int] = []

    def move(averaged: list[Tensor], current: list[Tensor], n: int) -> None:
        counts.append(n)
        torch._foreach_lerp_(averaged, current, 0.25)

    average = Average(network, move)
    for value in (4.0, 8.0, 0.0):
        nn.init.constant_(network.weight, value)
        average.update(network)
    assert average.network.weight.item() == pytest.approx((4 * 0.75 + 8 * 0.25) * 0.75)
    assert (counts, average.updates) == ([1, 2], 3)


def test_the_trained_network_has_the_averaged_weights(tmp_path: Path) -> None:
    at_work, network = learning(), DaeNetwork(MODEL, 16)
    how = recipe(network, TRAIN.model_copy(update={"steps": 3}))
    doing = Training(network, at_work.batch, at_work.loss, how, tmp_path, 0)
    raw: list[Tensor] = []
    update = doing.average.update

    def recorded(trained: nn.Module) -> None:
        raw.append(trained.encoder.head.weight.detach().clone())  # type: ignore[union-attr,operator]
        update(trained)

    doing.average.update = recorded  # type: ignore[method-assign]
    doing.run()
    first, second, third = raw
    wanted = torch.lerp(torch.lerp(first, second, 1 - 2 / 11), third, 1 - 3 / 12)
    torch.testing.assert_close(network.encoder.head.weight, wanted)
    assert not torch.equal(network.encoder.head.weight, third)


def test_gradients_are_those_of_the_step_and_no_longer_than_asked(tmp_path: Path) -> None:
    at_work, network = learning(), DaeNetwork(MODEL, 16)
    how = recipe(network, TRAIN.model_copy(update={"gradient_clip": 1e-3, "learning_rate": 1e-9}))
    doing = Training(network, at_work.batch, at_work.loss, how, tmp_path, 0)
    lengths = []
    for doing.step in (0, 0, 0):  # the same batch; weights hardly move
        doing.train_step()
        gradients = [weight.grad.flatten() for weight in network.parameters() if weight.grad is not None]
        lengths.append(float(torch.cat(gradients).norm()))
    assert lengths == pytest.approx([1e-3] * 3, rel=0.01)
    free = recipe(network, TRAIN.model_copy(update={"gradient_clip": 1e9, "learning_rate": 1e-9}))
    doing = Training(network, at_work.batch, at_work.loss, free, tmp_path, 0)
    lengths = []
    for doing.step in (0, 0):
        doing.train_step()
        gradients = [weight.grad.flatten() for weight in network.parameters() if weight.grad is not None]
        lengths.append(float(torch.cat(gradients).norm()))
    assert lengths[1] == pytest.approx(lengths[0], rel=0.01)


def test_the_learning_rate_is_what_was_asked_for_and_may_stay() -> None:
    settings = TRAIN.model_copy(update={"steps": 100, "warmup_steps": 9, "learning_rate": 2.0})
    rates = [learning_rate(step, settings) for step in range(100)]
    assert max(rates) <= 2.0
    assert rates[50] == pytest.approx(1.0)
    assert rates[25] == pytest.approx(1 + math.cos(math.pi / 4))
    constant = settings.model_copy(update={"learning_rate_schedule": "constant"})
    assert [learning_rate(step, constant) for step in (0, 4, 9, 99)] == pytest.approx([0.2, 1.0, 2.0, 2.0])


def test_the_residual_of_v_is_what_a_linear_guess_leaves() -> None:
    """Of values of the mean square that z leaves unknown, the residual says nothing of the noisy value any more."""
    diffusion = Diffusion(MODEL.model_copy(update={"prediction": "v_residual"}))
    generator = Generator().manual_seed(0)
    x0 = math.sqrt(UNKNOWN) * torch.randn(5, 1, 200, 200, generator=generator)
    noise, t = torch.randn(x0.shape, generator=generator), torch.tensor([50, 200, 400, 700, 950])
    x_t, target = diffusion.noised(x0, noise, t), diffusion.target(x0, noise, t)
    for values, residual in zip(x_t.flatten(1), target.flatten(1), strict=True):
        assert torch.corrcoef(torch.stack([values, residual]))[0, 1].abs() < 0.02
    assert UNKNOWN == 0.04  # measured; the mean square of what z leaves unknown of a crop


def test_v_is_that_of_salimans_and_ho() -> None:
    diffusion = Diffusion(MODEL.model_copy(update={"prediction": "v"}))
    x0, noise, t = torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), 2.0), torch.tensor([300])
    signal = float(diffusion.alpha_bar[300]) ** 0.5
    wanted = signal * 2.0 - math.sqrt(1 - signal**2) * 0.5
    assert diffusion.target(x0, noise, t).item() == pytest.approx(wanted, rel=1e-5)


class Knowing(nn.Module):
    """A network whose z is the mean of the crop, and that removes the noise as if the crop were that mean."""

    def __init__(self, diffusion: Diffusion) -> None:
        super().__init__()
        self.diffusion = diffusion

    def encoder(self, x: Tensor) -> Tensor:
        return x.mean(dim=(1, 2, 3))[:, None]

    def unet(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        flat = z[:, :, None, None].expand(x.shape)
        signal, sigma = self.diffusion.amounts(t)
        return self.diffusion.target(flat, (x - signal * flat) / sigma, t)


def test_the_figures_compare_the_right_z_with_that_of_another_crop() -> None:
    model = MODEL.model_copy(update={"prediction": "v"})
    flat = np.linspace(0, 400, 12).astype(np.int16)[:, None, None, None] * np.ones((12, 3, 16, 16), np.int16)
    validation = Validation(Crops([flat]), model, 0, "cpu")
    assert (validation.t.min(), validation.t.max()) == (0, 999)
    assert len(validation.t.unique()) == 12
    network = Knowing(validation.diffusion)
    found = validation.losses(network) | validation.reconstruction(network)  # type: ignore[arg-type]
    assert found["loss_right_z"] == pytest.approx(0, abs=1e-6)
    assert found["reconstruction_right_z"] == pytest.approx(0, abs=1e-4)
    z = network.encoder(validation.x0)
    apart = (z - z.roll(1, dims=0)).square().mean()
    assert found["reconstruction_permuted_z"] == pytest.approx(float(apart), rel=0.05)
    assert found["loss_permuted_z"] > 0.01
    assert found["loss_ratio"] < 0.01
    assert found["reconstruction_ratio"] < 0.01


def test_the_figures_are_of_validation_crops_where_there_are_any(tmp_path: Path) -> None:
    looked_at = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Validation", lambda crops, *more: looked_at.append(crops) or Validation(crops, *more))
        settings = TRAIN.model_copy(update={"steps": 1})
        place = States(folder=tmp_path, code="", packages={}), tmp_path / "w.safetensors", 0, "cpu", 1
        own, others = Crops([pixels()[:8]]), Crops([pixels()[8:]])
        metrics = train_dae(own, MODEL, settings, *place, validation_crops=others)
        assert metrics["validation_crops"] == 4
        metrics = train_dae(own, MODEL, settings, *place, validation_crops=Crops([pixels()], [np.arange(0)]))
        assert metrics["validation_crops"] == 0
    assert looked_at == [others, own]


def test_training_patients_teach_and_validation_patients_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = training_job(tmp_path)
    table = pd.read_parquet(job.crops[0])
    table["patient_id"] = [f"P{n // 3}" for n in range(12)]
    table.to_parquet(job.crops[0])
    names = {"P0": "train", "P1": "validation", "P2": "test", "P3": "train"}
    splits = pd.DataFrame({"patient_id": list(names), "split": list(names.values()), "origin": "given"})
    check_table(splits, PATIENT_SPLITS, "splits").to_csv(job.splits, sep="\t", index=False)
    seen: dict[str, Crops] = {}

    def trained(crops: Crops, *more: Any, facts: Any, validation_crops: Crops) -> dict[str, float]:
        seen.update(train=crops, validation=validation_crops)
        return {"steps": 1.0}

    monkeypatch.setattr(job_module, "train_dae", trained)
    job.run()
    np.testing.assert_array_equal(seen["train"].take(np.arange(6)), pixels()[[0, 1, 2, 9, 10, 11]])
    np.testing.assert_array_equal(seen["validation"].take(np.arange(3)), pixels()[3:6])
    assert (len(seen["train"]), len(seen["validation"])) == (6, 3)
