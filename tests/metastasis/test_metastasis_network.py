"""The network of two tasks: what it answers, what its parts cost, its pace, its training and its MLP."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from helpers.bone_vertebrae import SHAPE, SOFTMAX, TRAIN, labelled_as_published, vertebrae
from helpers.stopped_training import stopped_after
from vertegrade.metastasis.classes import ANSWERS, BASELINE, CLASSES, MULTITASK
from vertegrade.metastasis.network.augmentation import augmented
from vertegrade.metastasis.network.learning import BoneLearning, train_network
from vertegrade.metastasis.network.losses import class_of, main_losses, side_losses
from vertegrade.metastasis.network.model import Answers, BoneNetwork, FusionMlp, NetworkShape, answers_of, shape_of
from vertegrade.metastasis.network.pacing import pace, pace_share
from vertegrade.metastasis.network.predict import predict
from vertegrade.metastasis.network.vertebrae import Vertebrae, network_input
from vertegrade.metastasis.network.weights import load_network
from vertegrade.metastasis.tables import BONE_PREDICTIONS, BONE_SLICE_PREDICTIONS
from vertegrade.settings.loading import SettingsError, check_settings
from vertegrade.settings.metastasis import BoneTrainSettings, MetastasisSettings
from vertegrade.tables import check_table
from vertegrade.training.choice import Choice
from vertegrade.training.states import States
from vertegrade.weights import WeightsError

PRESETS = Path(__file__).parents[2] / "presets"
ALWAYS = TRAIN.model_copy(update={"save_every_s": 1.0e-9})


def train(
    folder: Path, settings: BoneTrainSettings = ALWAYS, shape: NetworkShape = SHAPE, data: Vertebrae | None = None
) -> tuple[bytes, dict[str, float]]:
    states = States(folder=folder / "state", code="one", packages={"torch": "2"})
    figures = train_network(data or vertebrae(), shape, settings, states, folder / "w.safetensors", 0, "cpu", 1)
    return (folder / "w.safetensors").read_bytes(), figures


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return train(tmp_path_factory.mktemp("undisturbed"))[0]


def test_a_stopped_training_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with stopped_after(7, monkeypatch):
        train(tmp_path)
    assert not (tmp_path / "w.safetensors").exists()
    weights, figures = train(tmp_path, TRAIN)  # how often checkpoints are written is no other training
    assert weights == undisturbed
    assert "resumed at step 7 of 12" in caplog.text
    assert figures["chosen_step"] in (5, 10, 12)


def test_other_settings_make_other_weights(tmp_path: Path, undisturbed: bytes) -> None:
    for number, change in enumerate(
        ({"auxiliary_weight": 1.0}, {"label_smoothing": 0.0}, {"self_paced": "off"}, {"self_paced": "linear"})
    ):
        assert train(tmp_path / str(number), ALWAYS.model_copy(update=change))[0] != undisturbed, change


def test_it_learns_and_the_tables_say_so(tmp_path: Path) -> None:
    data = vertebrae()
    settings = TRAIN.model_copy(update={"steps": 120, "validate_every": 40, "learning_rate": 5e-3, "ema_decay": 0.9})
    _, figures = train(tmp_path, settings, data=data)
    assert figures["validation_loss"] < 1.0 < np.log(4)
    whole, slices = predict(load_network(tmp_path / "w.safetensors"), MULTITASK, data, "cpu")
    check_table(whole, BONE_PREDICTIONS, "vertebrae")
    check_table(slices, BONE_SLICE_PREDICTIONS, "slices")
    assert len(slices) == 3 * len(whole) == 3 * len(data)
    test = (whole["split"] == "test").to_numpy()
    assert (whole["bone_class"] == data.labels["bone_class"])[test].mean() > 0.7
    assert whole[[f"p_class_{name}" for name in CLASSES]].sum(axis=1).sub(1).abs().max() < 1e-5


def test_the_baseline_learns_too_and_says_nothing_of_sides(tmp_path: Path) -> None:
    data = vertebrae(16)
    train(tmp_path, TRAIN, SOFTMAX, data)
    whole, _ = predict(load_network(tmp_path / "w.safetensors"), BASELINE, data, "cpu")
    assert whole["p_none"].isna().all()
    assert np.allclose(whole["p_blastic"], whole["p_class_blastic"] + whole["p_class_mixed"])


def test_a_missing_class_is_said_before_the_training(tmp_path: Path) -> None:
    data = vertebrae()
    mixed, split = (data.labels[name].to_numpy() for name in ("bone_class", "split"))
    with pytest.raises(ValueError, match="no usable vertebra of the training patients is mixed"):
        train(tmp_path, data=data.only(mixed != "mixed"))
    with pytest.raises(ValueError, match="no validation patient has a usable vertebra"):
        train(tmp_path, data=data.only(split != "validation"))


def test_a_step_is_not_chosen_by_one_class(tmp_path: Path) -> None:
    data = vertebrae()
    normal, split = data.labels["bone_class"] == "normal", data.labels["split"]
    with pytest.raises(ValueError, match="all vertebrae of the validation patients are normal"):
        train(tmp_path, data=data.only((normal | (split != "validation")).to_numpy()))


def test_of_labels_of_vertebrae_nothing_is_fitted_to_one_class(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All slices that are known are normal there, and all sides that are known are none."""
    data = labelled_as_published(vertebrae())
    _, figures = train(tmp_path, TRAIN, data=data)
    assert (figures["fused_slices"], figures["fused_vertebrae"], figures["learned_sides"]) == (0, 1, 0)
    assert "none of the slices is known to be blastic or mixed or lytic: they have no MLP" in caplog.text
    assert "posterolateral involvement is known of fewer than two kinds" in caplog.text
    trained = load_network(tmp_path / "w.safetensors")
    assert trained.shape.fused == ["vertebrae"]
    assert not any(name.startswith(("fusions.slices", "sides")) for name in trained.state_dict())
    logits = torch.tensor([[9.0, -9.0], [-9.0, 9.0], [9.0, 9.0]])
    assert trained.classes(logits, "slices").argmax(dim=1).tolist() == [1, 3, 2]
    for table in predict(trained, MULTITASK, data, "cpu"):
        assert table[["p_none", "p_one_side", "p_both_sides"]].isna().all(axis=None)


def test_sides_are_learned_where_two_kinds_are_known(tmp_path: Path) -> None:
    _, figures = train(tmp_path, TRAIN)
    assert (figures["fused_slices"], figures["fused_vertebrae"], figures["learned_sides"]) == (1, 1, 1)
    assert figures["tasks"] == 2
    whole, _ = predict(load_network(tmp_path / "w.safetensors"), MULTITASK, vertebrae(2), "cpu")
    assert whole["p_none"].notna().all()


@pytest.mark.parametrize(("preset", "parameters"), [("cpu", 0.15e6), ("published", 6.95e6)])
def test_presets_build_train_a_step_and_resume(
    preset: str, parameters: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all their layers and their recipe, on slices of 32 pixels."""
    given = yaml.safe_load((PRESETS / f"metastasis_{preset}.yaml").read_text("utf-8"))
    settings = MetastasisSettings.model_validate(given["metastasis"])
    shape = shape_of(MULTITASK, settings)
    assert sum(weight.numel() for weight in BoneNetwork(shape).parameters()) == pytest.approx(parameters, rel=0.02)
    baseline = BoneNetwork(shape_of(BASELINE, settings)).backbone  # DenseNet-121 of two channels, without its head
    assert sum(weight.numel() for weight in baseline.parameters()) == 6953856 - 64 * 49
    recipe = settings.train.model_copy(update={"steps": 2, "batch_size": 4, "validate_every": 1, "save_every_s": 1e-9})
    tiny, data = shape.model_copy(update={"slices": SHAPE.slices}), vertebrae(12)
    with stopped_after(1, monkeypatch):
        train(tmp_path / "one", recipe, tiny, data)
    weights, figures = train(tmp_path / "one", recipe, tiny, data)
    assert weights == train(tmp_path / "two", recipe, tiny, data)[0]
    assert figures["steps"] == 2


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError):
        load_network(tmp_path / "w.safetensors")


def test_every_step_has_all_classes_and_goes_through_all_vertebrae() -> None:
    data = vertebrae(8)
    learning = BoneLearning(data, SHAPE, TRAIN, 0, "cpu")
    for step in range(5):
        assert np.bincount(data.classes[learning.places(step)]).tolist() == [2, 2, 2, 2]
    assert len({int(at) for step in range(4) for at in learning.places(step)}) == len(data)


def test_a_batch_that_classes_cannot_share_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"metastasis.train.batch_size.*multiple of 4"):
        check_settings({"metastasis": {"train": {"batch_size": 14}}})


def network(shape: NetworkShape = SHAPE) -> BoneNetwork:
    torch.manual_seed(0)
    return BoneNetwork(shape).eval()


def test_four_classes_of_two_answers() -> None:
    logits = torch.tensor([[-9.0, -9.0], [9.0, -9.0], [9.0, 9.0], [-9.0, 9.0]])
    classes = network().classes(logits, "vertebrae")
    assert classes.argmax(dim=1).tolist() == [0, 1, 2, 3]
    assert torch.allclose(answers_of(classes), logits.sigmoid(), atol=1e-4)
    truth = torch.tensor([ANSWERS[name] for name in CLASSES] + [(-1, 1), (1, -1)])
    assert class_of(truth).tolist() == [0, 1, 2, 3, -1, -1]


def test_a_lesion_of_few_slices_is_not_averaged_away() -> None:
    slices = torch.full((1, 6, 2), -5.0)
    slices[0, 2, 0] = slices[0, 3, 0] = 5.0
    slices[0, 5, 1] = 3.0  # another slice shows the other kind
    assert network().of_vertebrae(slices).tolist() == [[5.0, -1.0]]
    four = torch.zeros(1, 6, 4)
    four[..., 0] = 4.0
    four[0, 1] = torch.tensor([0.0, 0.0, 0.0, 9.0])
    assert network(SOFTMAX).of_vertebrae(four)[0].argmax() == 3


def losses(answers: list[int], slice_answers: list[list[int]], shape: NetworkShape = SHAPE, **more: Any) -> float:
    found = Answers(torch.zeros(1, 3, 2 if shape.tasks == "two" else 4), torch.zeros(1, 3, 3), torch.zeros(1, 3))
    truth = torch.tensor([answers]), class_of(torch.tensor([answers])), torch.tensor([slice_answers])
    return float(main_losses(network(shape), found, *truth, **({"smoothing": 0.0} | more)).detach())


@pytest.mark.parametrize("shape", [SHAPE, SOFTMAX])
def test_what_nobody_knows_costs_nothing(shape: NetworkShape) -> None:
    unknown = [[-1, -1]] * 3
    assert losses([-1, -1], unknown, shape) == 0
    known = losses([1, 0], unknown, shape)
    assert known == pytest.approx((4 if shape is SHAPE else 2) * np.log(2))  # both answers, and the class by the MLP
    assert losses([1, 0], [[1, 0], *unknown[:2]], shape) == pytest.approx(2 * known)


def test_smoothing_moves_the_target() -> None:
    sure = Answers(torch.full((1, 1, 2), 20.0), torch.zeros(1, 1, 3), torch.tensor([[20.0, 0, 0]]))
    truth = torch.tensor([[1, 1]]), torch.tensor([2]), torch.tensor([[[1, 1]]])
    without = network(SHAPE.model_copy(update={"fusion": "product"}))
    assert float(main_losses(without, sure, *truth, 0.0)) < 1e-6
    assert float(main_losses(without, sure, *truth, 0.2)) == pytest.approx(4 * 0.1 * 20)
    sides = torch.tensor([0]), torch.tensor([[-1]])
    assert float(side_losses(sure, *sides, 0.0)) < 1e-6 < 1 < float(side_losses(sure, *sides, 0.3))


def test_the_pace_is_of_each_class_and_ends_with_all() -> None:
    classes = torch.tensor([0, 0, 0, 0, 3, 3])
    seen = torch.tensor([0.1, 0.2, 0.3, 0.4, 5.0, 7.0])
    hard = pace(seen, classes, seen, classes, 0.5, "hard")
    assert hard.tolist() == [1, 1, 0, 0, 1, 0]  # the easiest of the hard class is learned from
    linear = pace(seen, classes, seen, classes, 0.5, "linear")
    assert linear[0] > linear[1] > linear[2] == 0 < linear[4]
    assert pace(seen, classes, seen, classes, 1.0, "hard").tolist() == [1] * 6
    assert pace(seen, classes, seen, classes, 0.5, "off").tolist() == [1] * 6
    assert [pace_share(step, 100, 0.5, 0.6) for step in (0, 30, 60, 99)] == [0.5, 0.75, 1.0, 1.0]
    assert pace_share(0, 100, 0.5, 1.0) == 0.5


def test_one_change_for_all_slices_and_none_of_the_mask_by_noise() -> None:
    seen = network_input(vertebrae(2).take(np.arange(4)), SHAPE.slices)
    assert 0 <= float(seen.min()) <= float(seen.max()) <= 1
    seen[:] = seen[:, :1]
    changed = augmented(seen, torch.Generator().manual_seed(3))
    assert changed.shape == seen.shape
    assert (changed[:, :, 1] - 1).abs().max() < 1e-5
    middle = changed[:, :, 0, 8:24, 8:24]
    assert (middle - middle.mean(dim=1, keepdim=True)).abs().mean() < 0.03  # noise alone
    assert not torch.equal(changed, augmented(seen, torch.Generator().manual_seed(4)))


def test_the_best_look_is_kept(tmp_path: Path) -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    choice = Choice(tmp_path, lambda network: {"loss": float(network.weight.detach().abs())}, "loss")
    with pytest.raises(ValueError, match="no network was looked at"):
        choice.best()
    for step, value in enumerate([3.0, 1.0, 2.0]):
        torch.nn.init.constant_(layer.weight, value)
        assert choice.look(layer, step) == {"loss": value}
    again = Choice(tmp_path, lambda network: {"loss": 1.0}, "loss")
    assert again.look(layer, 7) == {"loss": 1.0}  # as good is no better
    step, figure, tensors = again.best()
    assert (step, figure, tensors["weight"].item()) == (1, 1.0, 1.0)


def test_an_untaught_mlp_leaves_the_answers_as_they_are() -> None:
    p = torch.tensor([0.2, 0.9])
    product = torch.tensor([0.8 * 0.1, 0.2 * 0.1, 0.2 * 0.9, 0.8 * 0.9])
    assert FusionMlp(8)(p.logit()).softmax(dim=-1).tolist() == pytest.approx(product.tolist())


@pytest.mark.parametrize("level", ["slices", "vertebrae"])
def test_each_level_teaches_its_mlp_and_the_answers_behind_it(level: str) -> None:
    taught = network()
    found = taught(network_input(vertebrae(2).take(np.arange(4)), SHAPE.slices))
    answers, classes, of_slices = torch.full((4, 2), -1), torch.full((4,), -1), torch.full((4, 3, 2), -1)
    if level == "vertebrae":
        classes = torch.arange(4)
    else:
        of_slices = torch.tensor([[ANSWERS[name]] * 3 for name in CLASSES])
    main_losses(taught, found, answers, classes, of_slices, 0.1).sum().backward()
    moved = {name for name, mlp in taught.fusions.items() if mlp.layers[2].weight.grad.abs().sum() > 0}
    assert moved == {level}
    assert taught.answers.weight.grad.abs().sum() > 0
