"""What changes the weights: matrices by Muon, the rest by AdamW, and the state comes back whole."""

import pytest
import torch

from dae.dae_tiny import MODEL, TRAIN
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.optimiser import Optimiser, is_matrix


def stepped(kind: str, steps: int = 1) -> tuple[DaeNetwork, DaeNetwork, Optimiser]:
    """A network, what `steps` steps of the same gradient made of it, and the optimiser."""
    torch.manual_seed(0)
    before = DaeNetwork(MODEL, 16)
    after = DaeNetwork(MODEL, 16)
    after.load_state_dict(before.state_dict())
    optimiser = Optimiser(after, TRAIN.model_copy(update={"optimiser": kind}))
    generator = torch.Generator().manual_seed(1)
    for weight in after.parameters():
        # One direction that stands out, as in most gradients, and a little of all others.
        one = torch.outer(torch.randn(len(weight), generator=generator), torch.ones(weight[0].numel()))
        weight.grad = (one + 0.1 * torch.randn(one.shape, generator=generator)).view_as(weight)
    for _ in range(steps):
        optimiser.step(learning_rate=0.01)
    return before, after, optimiser


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_every_weight_moves(kind: str) -> None:
    before, after, _ = stepped(kind)
    assert all(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_muon_moves_a_convolution_alike_in_all_directions() -> None:
    spread = {}
    for kind in ("muon", "adamw"):
        before, after, _ = stepped(kind)
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


def test_state_comes_back() -> None:
    _, after, optimiser = stepped("muon", steps=2)
    _, again, other = stepped("muon", steps=0)
    again.load_state_dict(after.state_dict())
    other.load({name: {key: value.clone() for key, value in tensors.items()} for name, tensors in optimiser.state()})
    optimiser.step(0.01), other.step(0.01)
    assert all(torch.equal(a, b) for a, b in zip(after.parameters(), again.parameters(), strict=True))
