"""Settings that make training fast on a GPU, tried on a CPU: each trains as the plain one does, and resumes."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from helpers.stopped_training import stopped_after
from helpers.tiny_dae import MODEL, TRAIN, pixels, states
from vertegrade.graders.crops import Crops
from vertegrade.graders.dae.training import train_dae

ALL = {"precision": "bfloat16", "channels_last": True, "fused": True}


def trained(folder: Path, **changes: object) -> tuple[dict[str, float], dict[str, Tensor]]:
    train = TRAIN.model_copy(update={"save_every_s": 1e-9} | changes)
    place = states(folder / "state"), folder / "w.safetensors"
    metrics = train_dae(Crops([pixels()]), MODEL, train, *place, 0, "cpu", 1)
    return metrics, load_file(folder / "w.safetensors")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, float], dict[str, Tensor]]:
    return trained(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize(
    ("changes", "near"),
    [
        ({"channels_last": True}, 3e-3),
        ({"fused": True}, 3e-3),
        ({"precision": "bfloat16"}, 2e-2),
        (ALL, 2e-2),
    ],
)
def test_it_trains_as_the_plain_one(
    changes: dict[str, object], near: float, plain: tuple[dict[str, float], dict[str, Tensor]], tmp_path: Path
) -> None:
    alike(trained(tmp_path, **changes), plain, near)


def test_it_trains_compiled_as_the_plain_one(
    plain: tuple[dict[str, float], dict[str, Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as `torch.compile` does; the C++ of it, which takes minutes, is tried on the toy of tests/training."""
    compiled = []

    def traced(network: torch.nn.Module) -> object:
        compiled.append(network)
        return torch._dynamo.optimize("aot_eager")(network)

    monkeypatch.setattr(torch, "compile", traced)
    _, weights = trained(tmp_path, compiled=True)
    assert len(compiled) == 1
    for name, value in plain[1].items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=3e-3)


def alike(
    one: tuple[dict[str, float], dict[str, Tensor]], plain: tuple[dict[str, float], dict[str, Tensor]], near: float
) -> None:
    """Another computation of the same steps, and no other steps."""
    assert one[0]["loss"] == pytest.approx(plain[0]["loss"], rel=0.02)
    difference = max(float((one[1][name] - value).abs().max()) for name, value in plain[1].items())
    assert 0 < difference < near


def test_published_optimiser_fused(tmp_path: Path) -> None:
    (_, one), (_, other) = (trained(tmp_path / str(n), optimiser="adamw", fused=n) for n in (False, True))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-5)


def test_a_stopped_training_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path / "undisturbed", **ALL)
    with stopped_after(7, monkeypatch):
        trained(tmp_path / "stopped", **ALL)
    trained(tmp_path / "stopped", **ALL)
    stopped, undisturbed = ((tmp_path / name / "w.safetensors").read_bytes() for name in ("stopped", "undisturbed"))
    assert stopped == undisturbed
