"""What changes the weights: matrices by Muon, the rest by AdamW."""

import pytest
import torch

from helpers.tiny_dae import MODEL, TRAIN
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.training.optimisers import is_matrix, optimisers


def stepped(kind: str) -> tuple[DaeNetwork, DaeNetwork]:
    """A network, and what a step made of it."""
    torch.manual_seed(0)
    before = DaeNetwork(MODEL, 16)
    after = DaeNetwork(MODEL, 16)
    after.load_state_dict(before.state_dict())
    settings = TRAIN.model_copy(update={"optimiser": kind, "learning_rate": 0.01})
    generator = torch.Generator().manual_seed(1)
    for weight in after.parameters():
        # One direction that stands out, as in most gradients, and a little of all others.
        one = torch.outer(torch.randn(len(weight), generator=generator), torch.ones(weight[0].numel()))
        weight.grad = (one + 0.1 * torch.randn(one.shape, generator=generator)).view_as(weight)
    for optimiser in optimisers(after, settings):
        optimiser.step()
    return before, after


@pytest.mark.parametrize("kind", ["muon", "adamw", "sgd"])
def test_every_weight_moves(kind: str) -> None:
    before, after = stepped(kind)
    assert all(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_muon_moves_a_convolution_alike_in_all_directions() -> None:
    spread = {}
    for kind in ("muon", "adamw"):
        before, after = stepped(kind)
        moved = (after.unet.stem.weight - before.unet.stem.weight).detach().flatten(1)
        singular = torch.linalg.svdvals(moved)
        spread[kind] = float(singular.max() / singular.min())
    assert spread["muon"] < 2.5
    assert spread["adamw"] > 10


def test_maps_of_the_position_are_no_matrix() -> None:
    names = {name for name, weight in DaeNetwork(MODEL, 16).named_parameters() if not is_matrix(name, weight)}
    assert "unet.middle.1.position" in names
    assert "unet.stem.bias" in names
    assert "unet.stem.weight" not in names


@pytest.mark.parametrize("kind", ["muon", "adamw", "sgd"])
def test_weights_decay_as_asked(kind: str) -> None:
    """Where nothing is to be learned, each weight becomes smaller by the rate times the decay."""
    torch.manual_seed(0)
    network = DaeNetwork(MODEL, 16)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    settings = TRAIN.model_copy(update={"optimiser": kind, "learning_rate": 0.1, "weight_decay": 0.2})
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    for optimiser in optimisers(network, settings):
        optimiser.step()
    for name, weight in network.named_parameters():
        torch.testing.assert_close(weight.detach(), before[name] * (1 - 0.1 * 0.2), msg=name)
