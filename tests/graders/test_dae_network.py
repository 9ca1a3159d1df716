"""The networks: the published formula, sizes and traps."""

import math

import pytest
import torch
import yaml
from torch import nn
from torch.nn import functional

from helpers.tiny_dae import MODEL
from vertegrade.graders.dae.layers import AdaGN, Attention, ResBlock, time_features
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.settings.dae import DaeModelSettings, DaeSettings


def shaken(network: nn.Module) -> nn.Module:
    """The network with every zero-initialised weight made random, as after training."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.1, generator=generator)
    return network.eval()


@pytest.fixture
def network() -> DaeNetwork:
    torch.manual_seed(0)
    network = shaken(DaeNetwork(MODEL, 16))
    assert isinstance(network, DaeNetwork)
    return network


def batch(count: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, count, 3, 16, 16, generator=generator)
    return x[0], x[1], torch.linspace(0, 999, count).long()


def preset(name: str) -> DaeSettings:
    with open(f"presets/{name}.yaml", encoding="utf-8") as handle:
        return DaeSettings.model_validate(yaml.safe_load(handle)["dae"])


def millions(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def test_adagn_is_the_published_formula() -> None:
    torch.manual_seed(0)
    layer = AdaGN(8, embedding=6, z_dim=5)
    h, time, z = torch.randn(2, 8, 4, 4), torch.randn(2, 6), torch.randn(2, 5)
    t_s, t_b = layer.time(functional.silu(time)).reshape(2, 2, 8, 1, 1).unbind(1)
    z_s = layer.semantic(functional.silu(z)).reshape(2, 8, 1, 1)
    wanted = (1 + z_s) * (functional.group_norm(h, layer.norm.num_groups) * (1 + t_s) + t_b)
    torch.testing.assert_close(layer(h, time, z), wanted)


def test_every_residual_block_of_the_unet_is_conditioned(network: DaeNetwork) -> None:
    blocks = [module for module in network.unet.modules() if isinstance(module, ResBlock)]
    assert len(blocks) == 2 + 1 + 2 + 4 + 1  # encoder stages, down, middle, decoder stages, up
    assert all(isinstance(block.adaptive, AdaGN) for block in blocks)


def test_permuting_z_changes_the_output(network: DaeNetwork) -> None:
    _, x_t, t = batch()
    z = torch.randn(4, MODEL.z_dim, generator=torch.Generator().manual_seed(2))
    difference = network.unet(x_t, t, z) - network.unet(x_t, t, z[:, torch.randperm(MODEL.z_dim)])
    assert difference.abs().max() > 1e-2


def test_the_untrained_unet_predicts_zero() -> None:
    x0, x_t, t = batch()
    assert not DaeNetwork(MODEL, 16)(x0, x_t, t).any()


def test_encoder_does_not_mix_the_crops_of_a_batch(network: DaeNetwork) -> None:
    x0, _, _ = batch()
    network.train()
    together = network.encoder(x0)
    alone = torch.cat([network.encoder(row[None]) for row in x0])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


def test_attention_follows_the_side_of_the_feature_map_after_unshuffling() -> None:
    def attentions(sides: list[int]) -> int:
        settings = MODEL.model_copy(update={"attention_resolutions": sides})
        return sum(isinstance(module, Attention) for module in DaeNetwork(settings, 16).unet.modules())

    assert (attentions([]), attentions([4]), attentions([8])) == (0, 1 + 1 + 2, 1 + 1 + 2)


def test_attention_that_would_never_happen_is_refused() -> None:
    settings = MODEL.model_copy(update={"attention_resolutions": [16]})
    with pytest.raises(ValueError, match=r"\[16\] px is the side of no feature map of crops of 96"):
        DaeNetwork(settings.model_copy(update={"unshuffle": 1, "encoder_unshuffle": 1}), 96)


def test_size_that_does_not_halve_is_refused() -> None:
    with pytest.raises(ValueError, match="crops of 18 px cannot be unshuffled by 2 and halved 1 times"):
        DaeNetwork(MODEL, 18)


@pytest.mark.parametrize(
    ("name", "size", "total", "encoder"), [("dae64", 64, 90.84, 19.32), ("dae128", 128, 128.55, 24.67)]
)
def test_presets_have_the_published_number_of_parameters(name: str, size: int, total: float, encoder: float) -> None:
    settings = preset(name).model.model_copy(update={"slices": 3})  # published: three colour channels
    with torch.device("meta"):
        network = DaeNetwork(settings, size)
    assert millions(network) == pytest.approx(total, abs=0.01)
    assert millions(network.encoder) == pytest.approx(encoder, abs=0.01)


def test_demo_network_is_small() -> None:
    with torch.device("meta"):
        assert millions(DaeNetwork(DaeModelSettings(), 64)) < 5


def test_the_noise_level_is_told_by_cosines_and_sines_of_a_geometric_row_of_periods() -> None:
    found = time_features(torch.tensor([0, 300]), 4)
    wanted = [[1, 1, 0, 0], [math.cos(300), math.cos(3), math.sin(300), math.sin(3)]]
    torch.testing.assert_close(found, torch.tensor(wanted), atol=1e-4, rtol=0)


def test_blocks_and_attention_add_to_what_comes_in() -> None:
    torch.manual_seed(0)
    x, time, z = torch.randn(2, 8, 4, 4), torch.randn(2, 16), torch.randn(2, 5)
    torch.testing.assert_close(ResBlock(8, 8, 16, 5, 0.0, 0)(x, time, z), x)  # untrained, the branch is zero
    torch.testing.assert_close(Attention(8)(x), x)
