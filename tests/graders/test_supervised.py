"""The supervised classifiers: what they learn from, which step is kept, resume, scores, and published sizes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from monai.networks.nets import DenseNet121, SENet, SEResNet50

from helpers.stopped_training import stopped_after, stopped_and_resumed
from helpers.tiny_classifier import GRADES, images, job_of
from vertegrade.graders.classifiers.networks import seresnet
from vertegrade.graders.classifiers.samples import Graded, graded_images
from vertegrade.graders.classifiers.scoring import log_probabilities, score_table
from vertegrade.graders.classifiers.training import selection_score
from vertegrade.graders.classifiers.training_job import geometry_text
from vertegrade.graders.classifiers.weights import load_classifier
from vertegrade.graders.supervised.network import rebuild
from vertegrade.graders.supervised.training_job import SupervisedTrainingJob
from vertegrade.grading.rows import GradingError
from vertegrade.settings.loading import check_settings
from vertegrade.settings.supervised import SupervisedModelSettings, SupervisedTrainSettings
from vertegrade.tables import CROPS, LABELS, PATIENT_SPLITS, read_table
from vertegrade.weights import WeightsError

ROOT = Path(__file__).resolve().parents[2]
DENSE = SupervisedModelSettings.model_validate({"densenet": {"channels": 8, "growth": 4, "layers": [1, 1]}})
RESNET = SupervisedModelSettings.model_validate({"network": "seresnet", "bodies": "level", "head": "cumulative"})
TRAIN = SupervisedTrainSettings(steps=8, batch_size=8, warmup_steps=1, validate_every=4, save_every_s=1e-9)


def job(
    folder: Path, model: SupervisedModelSettings = DENSE, train: SupervisedTrainSettings = TRAIN, **changes: object
):  # type: ignore[no-untyped-def]
    return job_of(SupervisedTrainingJob, folder, images(patches=model.network == "seresnet"), model, train, **changes)


def graded(folder: Path, split: str) -> Graded:
    made = job(folder)
    labels, splits = read_table(made.labels[0], LABELS), read_table(made.splits, PATIENT_SPLITS)
    return graded_images(made.tables, made.arrays, labels, splits, split)


def test_it_learns_from_the_graded_vertebrae_of_its_split_alone(tmp_path: Path) -> None:
    made = job(tmp_path)
    crops, labels = pd.read_parquet(made.tables[0]), pd.read_parquet(made.labels[0])
    crops.loc[1, ["evaluable", "reason"]] = [False, "outside_scan"]
    labels.loc[2, ["usable", "reason"]] = [False, "no_grade"]
    splits = read_table(made.splits, PATIENT_SPLITS)
    crops.to_parquet(made.tables[0])
    found = graded_images(made.tables, made.arrays, labels, splits, "train")
    kept = [0, *range(3, 12)]
    assert found.patients == {"P0", "P1"}
    assert found.grade.tolist() == [(GRADES * 2)[n] for n in kept]
    np.testing.assert_array_equal(found.images.take(np.arange(10)), images()[kept])
    only_one = labels.assign(genant_grade=0.0)
    with pytest.raises(GradingError, match="train split has 10 evaluable vertebrae"):
        graded_images(made.tables, made.arrays, only_one, splits, "train")


def test_a_balanced_batch_has_as_many_of_each_grade_and_all_are_used(tmp_path: Path) -> None:
    found = graded(tmp_path, "train")
    drawn = [found.batch(step, 8, True, 3) for step in range(20)]
    for positions in drawn:
        assert np.bincount(found.grade[positions]).tolist() == [2, 2, 2, 2]
        assert np.bincount(found.grade[positions[:4]]).tolist() == [1, 1, 1, 1]  # of each part of several processes
    assert set(np.concatenate(drawn)) == set(range(12))
    odd = [found.batch(step, 6, True, 3) for step in range(8)]  # of no multiple of four
    assert np.bincount(found.grade[np.concatenate(odd)]).tolist() == [12, 12, 12, 12]
    assert np.array_equal(found.batch(5, 8, True, 3), drawn[5])
    plain = np.concatenate([found.batch(step, 6, False, 3) for step in range(2)])
    assert sorted(plain) == list(range(12))


def test_selection_counts_grades_alike_and_prefers_near_misses() -> None:
    grade = np.array([0] * 98 + [3, 3])
    sure = np.log(np.clip(np.eye(4), 1e-6, 1))
    right, missed, near = sure[grade].copy(), sure[grade].copy(), sure[grade].copy()
    missed[98:], near[98:] = sure[0], sure[2]
    assert selection_score(right, grade) == pytest.approx(0, abs=1e-5)
    assert selection_score(missed, grade) == pytest.approx(-1.5, abs=1e-3)  # half of the grades, three grades off
    assert selection_score(near, grade) == pytest.approx(-0.5, abs=1e-3)


@pytest.mark.parametrize("model", [DENSE, RESNET], ids=["densenet", "seresnet"])
def test_a_stopped_training_goes_on_to_the_same_bytes(
    model: SupervisedModelSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = job(tmp_path / "one", model)
    undisturbed.run()
    stopped = job(tmp_path / "two", model)
    with stopped_after(6, monkeypatch):
        stopped.run()
    assert not stopped.weights.exists()
    stopped.run()
    assert stopped.weights.read_bytes() == undisturbed.weights.read_bytes()
    figures = json.loads(undisturbed.metrics.read_text())
    assert figures["patients"] == 2
    assert figures["validation_vertebrae"] == 6
    assert figures["best_step"] in (4, 8)


def test_the_kept_weights_are_the_best_of_the_validation_patients(tmp_path: Path) -> None:
    made = job(tmp_path)
    made.run()
    figures, validation = json.loads(made.metrics.read_text()), made.graded("validation")
    trained = load_classifier(made.weights, "supervised", rebuild, "cpu")
    found = log_probabilities(trained.network, trained.sees, validation.images, trained.device)
    assert selection_score(found, validation.grade) == pytest.approx(figures["best_score"], abs=1e-5)


def test_other_grades_are_another_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = job(tmp_path)
    made.run()
    first = made.weights.read_bytes()
    labels = pd.read_parquet(made.labels[0])
    labels.loc[5, "genant_grade"] = 3.0
    labels.to_parquet(made.labels[0])
    caplog.set_level("INFO")
    made.run()
    assert "resumed" not in caplog.text
    assert made.weights.read_bytes() != first


@pytest.mark.parametrize("model", [DENSE, RESNET], ids=["densenet", "seresnet"])
def test_the_scores_of_a_vertebra_depend_on_its_image_alone(model: SupervisedModelSettings, tmp_path: Path) -> None:
    made = job(tmp_path, model, TRAIN.model_copy(update={"steps": 1}))
    made.run()
    trained = load_classifier(made.weights, "supervised", rebuild, "cpu")
    crops, pixels, text = read_table(made.tables[0], CROPS), np.load(made.arrays[0]), geometry_text(made.geometry)
    scores = score_table(trained, crops, pixels, text)
    assert np.exp(np.stack(scores["z"])).sum(axis=1) == pytest.approx(np.ones(24), abs=1e-5)
    assert set(scores["model_sha256"]) == {trained.sha256}
    few = score_table(trained, crops[:3], pixels[:3], text)
    np.testing.assert_array_equal(np.stack(few["z"]), np.stack(scores["z"])[:3])
    assert len(score_table(trained, crops[:0], pixels[:0], text)) == 0
    with pytest.raises(WeightsError, match="the network was trained on"):
        score_table(trained, crops, pixels, geometry_text({"crop.size": 17}))


def test_weights_of_another_method_are_refused(tmp_path: Path) -> None:
    made = job(tmp_path, train=TRAIN.model_copy(update={"steps": 1}))
    made.run()
    with pytest.raises(WeightsError, match="not weights of supcon"):
        load_classifier(made.weights, "supcon", rebuild, "cpu")


def shapes(network: torch.nn.Module, without: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items() if not name.startswith(without)}


def test_on_a_cpu_the_channels_of_a_voxel_lie_together_and_change_nothing() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 16, 16, 16)
    network, _ = seresnet(3, RESNET.seresnet)
    network.eval()
    together = []
    network.layer0.register_forward_pre_hook(
        lambda layer, given: together.append(given[0].is_contiguous(memory_format=torch.channels_last_3d))
    )
    with torch.no_grad():
        torch.testing.assert_close(network(x), SENet.forward(network, x))
    assert together == [True, False]


@pytest.mark.parametrize("network", ["densenet", "seresnet"])
def test_the_published_preset_has_the_published_network_trains_and_resumes(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    preset = yaml.safe_load((ROOT / "presets/supervised_published.yaml").read_text())
    settings = check_settings(preset).supervised
    model = settings.model.model_copy(update={"network": network})
    train = settings.train.model_copy(update={"steps": 2, "batch_size": 2, "precision": "float32"})
    pixels = images(32, patches=network == "seresnet")
    made = job_of(SupervisedTrainingJob, tmp_path, pixels, model, train)
    stopped_and_resumed(made, monkeypatch, caplog)
    built = load_classifier(made.weights, "supervised", rebuild, "cpu").network.backbone
    if network == "densenet":
        theirs: torch.nn.Module = DenseNet121(2, 3 * len(model.windows_hu), 4)
    else:
        theirs = SEResNet50(spatial_dims=3, in_channels=len(model.windows_hu) + (model.bodies != "none"), num_classes=4)
    assert shapes(built, "none") == shapes(theirs, "class_layers.out" if network == "densenet" else "last_linear")
