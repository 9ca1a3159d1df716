"""Supervised contrastive grading: the loss of the paper, both readings, binary and grades, resume, published sizes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai.networks.nets import SEResNet50
from pydantic import ValidationError
from torch.nn import functional

from helpers.stopped_training import stopped_after, stopped_and_resumed
from helpers.tiny_classifier import GRADES, images, job_of
from vertegrade.graders.classifiers.scoring import score_table
from vertegrade.graders.classifiers.training import Learning
from vertegrade.graders.classifiers.training_job import geometry_text
from vertegrade.graders.classifiers.weights import Sees, load_classifier
from vertegrade.graders.supcon.loss import contrastive_loss
from vertegrade.graders.supcon.network import SupconNetwork, build, rebuild
from vertegrade.graders.supcon.training_job import SupconTrainingJob, supcon_loss
from vertegrade.settings.loading import check_settings
from vertegrade.settings.supcon import SupconModelSettings, SupconTrainSettings
from vertegrade.tables import CROPS, read_table

ROOT = Path(__file__).resolve().parents[2]
MODEL = SupconModelSettings(projection=8)
TRAIN = SupconTrainSettings(steps=6, batch_size=8, warmup_steps=1, validate_every=3, save_every_s=1e-9)
SEES = Sees((2, 16, 16, 16), MODEL.windows_hu, MODEL.bodies, "")


def job(folder: Path, model: SupconModelSettings = MODEL, train: SupconTrainSettings = TRAIN, **changes: object):  # type: ignore[no-untyped-def]
    return job_of(SupconTrainingJob, folder, images(patches=True), model, train, **{"fracture_grade": 1} | changes)


def by_definition(vectors: torch.Tensor, kind: torch.Tensor, temperature: float) -> torch.Tensor:
    """Khosla et al. 2020, equation 2, as it is written."""
    losses = []
    for i in range(len(vectors)):
        others = [a for a in range(len(vectors)) if a != i]
        positives = [p for p in others if kind[p] == kind[i]]
        total = sum(torch.exp(vectors[i] @ vectors[a] / temperature) for a in others)
        if positives:
            terms = [torch.log(torch.exp(vectors[i] @ vectors[p] / temperature) / total) for p in positives]
            losses.append(-torch.stack(terms).mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("kind", [[0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 0, 1], [0, 1, 2, 3, 0, 1]])
def test_the_loss_is_that_of_the_paper(kind: list[int]) -> None:
    vectors = functional.normalize(torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), dim=1).double()
    kinds = torch.tensor(kind)
    found = contrastive_loss(vectors, kinds, 0.5)
    torch.testing.assert_close(found, by_definition(vectors, kinds, 0.5).float())


def test_the_loss_falls_when_kinds_come_together_and_stays_finite_without_a_pair() -> None:
    apart = functional.normalize(torch.eye(4)[[0, 1, 2, 3]], dim=1)
    together = functional.normalize(torch.eye(4)[[0, 0, 1, 1]], dim=1)
    kind = torch.tensor([0, 0, 1, 1])
    assert contrastive_loss(together, kind, 0.07) < 0.01 < contrastive_loss(apart, kind, 0.07)
    vectors = apart.clone().requires_grad_()
    alone = contrastive_loss(vectors, torch.arange(4), 0.07)
    alone.backward()
    assert alone == 0
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()
    assert torch.isfinite(contrastive_loss(vectors, kind, 0.01))


def gradients(reading: str, contrastive: float) -> dict[str, float]:
    """Largest gradient of each part of the network in a step."""
    torch.manual_seed(0)
    train = SupconTrainSettings.model_construct(reading=reading, contrastive=contrastive, temperature=0.07)
    network = SupconNetwork(build(MODEL, SEES), 8, reading == "detached")
    x = torch.randn(8, 3, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    supcon_loss(network, x, torch.arange(8) % 4, train, 0).backward()
    parts = {"encoder": network.classifier.backbone, "head": network.classifier.head, "projection": network.projection}
    return {
        name: max(float(weight.grad.abs().max()) for weight in part.parameters() if weight.grad is not None)
        for name, part in parts.items()
    }


def test_the_loss_is_in_float32_under_autocast() -> None:
    """Nearly equal vectors, as at the start of a training: in bfloat16 their gradient points elsewhere."""
    start = torch.randn((24, 32), generator=torch.Generator().manual_seed(5)) * 0.02 + 1
    kind = torch.arange(24) % 4
    found = []
    for short in (False, True):
        vectors = start.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=short):
            loss = contrastive_loss(torch.nn.functional.normalize(vectors, dim=1), kind, 0.07)
        loss.backward()
        found.append(vectors.grad)
    torch.testing.assert_close(*found)


def test_detached_the_encoder_learns_from_the_contrastive_loss_alone() -> None:
    joint, detached = gradients("joint", 1.0), gradients("detached", 1.0)
    assert min(joint.values()) > 0
    assert min(detached.values()) > 0
    assert joint["encoder"] != detached["encoder"]
    assert gradients("detached", 0.0)["encoder"] == 0  # cross-entropy alone does not reach it
    plain = gradients("joint", 0.0)
    assert plain["encoder"] > 0
    assert plain["projection"] == 0
    with pytest.raises(ValidationError, match="nothing would train the network"):
        SupconTrainSettings(reading="detached", contrastive=0)


def test_a_batch_has_two_views_of_each_vertebra_and_grades_alike(tmp_path: Path) -> None:
    graded = job(tmp_path).graded("train")
    x, grade = Learning(graded, SEES, TRAIN, TRAIN.augment, 0, "cpu", 2).batch(0)
    assert x.shape == (16, 3, 16, 16, 16)
    assert grade[:8].tolist() == grade[8:].tolist()
    assert np.bincount(grade).tolist() == [4] * 4
    assert not torch.equal(x[:8], x[8:])


@pytest.mark.parametrize(("classes", "reading"), [("grades", "detached"), ("binary", "joint")])
def test_a_stopped_training_goes_on_to_the_same_bytes_and_scores(
    classes: str, reading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODEL.model_copy(update={"classes": classes})
    train = TRAIN.model_copy(update={"reading": reading})
    undisturbed, stopped = (job(tmp_path / name, model, train, fracture_grade=2) for name in ("one", "two"))
    undisturbed.run()
    with stopped_after(4, monkeypatch):
        stopped.run()
    stopped.run()
    assert stopped.weights.read_bytes() == undisturbed.weights.read_bytes()
    trained = load_classifier(stopped.weights, "supcon", rebuild, "cpu")
    assert not any("projection" in name for name in trained.network.state_dict())
    crops = read_table(stopped.tables[0], CROPS)
    scores = score_table(trained, crops, np.load(stopped.arrays[0]), geometry_text(stopped.geometry))
    p = np.exp(np.stack(scores["z"]))
    assert p.sum(axis=1) == pytest.approx(np.ones(len(crops)), abs=1e-5)
    assert bool(np.allclose(p[:, 2], p[:, 3])) is (classes == "binary")
    assert json.loads(stopped.metrics.read_text())["best_step"] in (3, 6)


def test_binary_batches_are_half_fractured(tmp_path: Path) -> None:
    made = job(tmp_path, MODEL.model_copy(update={"classes": "binary"}))
    graded = replace(made.graded("train"), binary_from=1)
    positions = np.concatenate([graded.batch(step, 8, True, 3) for step in range(6)])
    assert (graded.grade[positions] > 0).mean() == 0.5
    assert set(positions) == set(range(2 * len(GRADES)))


def test_the_published_preset_has_the_published_network_trains_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = check_settings(yaml.safe_load((ROOT / "presets/supcon_published.yaml").read_text())).supcon
    short = {"steps": 2, "batch_size": 2, "precision": "float32"}
    pixels = images(32, patches=True)
    train = settings.train.model_copy(update=short)
    made = job_of(SupconTrainingJob, tmp_path, pixels, settings.model, train, fracture_grade=1)
    stopped_and_resumed(made, monkeypatch, caplog)
    built = load_classifier(made.weights, "supcon", rebuild, "cpu").network
    theirs = {
        name: value.shape
        for name, value in SEResNet50(spatial_dims=3, in_channels=3, num_classes=4).state_dict().items()
        if not name.startswith("last_linear")
    }
    assert {name: value.shape for name, value in built.backbone.state_dict().items()} == theirs
    assert (settings.model.projection, settings.train.temperature) == (128, 0.07)
