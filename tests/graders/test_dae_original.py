"""Weights of the released code: each tensor has one place in ours. That both compute the same was seen beside that code
(docs/methods/dae.md)."""

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from helpers.tiny_dae import MODEL
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.original import import_original, original_names
from vertegrade.graders.dae.weights import load_dae
from vertegrade.settings.dae import DaeModelSettings, DaeSettings
from vertegrade.weights import WeightsError

PRESETS = Path(__file__).parents[2] / "presets"
PUBLISHED = MODEL.model_copy(
    update={"position": False, "z_map": False, "encoder_pool": "mean", "unshuffle": 1, "encoder_unshuffle": 1}
    | {"attention_resolutions": [8]}
)
# Read in the released code, for 64 px.
KNOWN = {
    "unet.time.2.bias": "time_embed.time_embed.2.bias",
    "unet.down.0.block.first.weight": "input_blocks.1.0.in_layers.2.weight",
    "unet.down.2.adaptive.time.weight": "input_blocks.3.0.emb_layers.1.weight",
    "unet.down.6.attention.qkv.weight": "input_blocks.7.1.qkv.weight",
    "unet.middle.0.attention.out.weight": "middle_block.1.proj_out.weight",
    "unet.up.3.last.weight": "output_blocks.2.1.out_layers.3.weight",
    "unet.up.7.adaptive.semantic.weight": "output_blocks.5.2.cond_emb_layers.1.weight",
    "encoder.body.8.norm.weight": "encoder.input_blocks.7.1.norm.weight",
    "encoder.head.weight": "encoder.out.3.weight",
}


def preset(name: str) -> DaeModelSettings:
    return DaeSettings.model_validate(yaml.safe_load((PRESETS / f"{name}.yaml").read_text())["dae"]).model


@pytest.mark.parametrize(("name", "size"), [("dae64", 64), ("dae128", 128)])
def test_each_tensor_of_the_presets_has_one_name(name: str, size: int) -> None:
    with torch.device("meta"):
        network = DaeNetwork(preset(name), size)
    names = original_names(network)
    assert set(names) == set(network.state_dict())
    assert len(set(names.values())) == len(names)
    if name == "dae64":
        assert {ours: names[ours] for ours in KNOWN} == KNOWN


def released(network: DaeNetwork, path: Path, **changes: Tensor | None) -> Path:
    """The network's weights as the released code has them, beside others that a checkpoint has too."""
    names, state = original_names(network), network.state_dict()
    tensors = {f"ema_model.{theirs}": state[ours].clone() for ours, theirs in names.items()}
    for name in [name for name in tensors if ".qkv." in name or ".proj_out." in name]:
        if name.endswith("weight"):
            tensors[name] = tensors[name][:, :, :, 0].clone()
    head = "ema_model.encoder.out.3.weight"
    tensors[head] = tensors[head][:, :, None, None].clone()
    tensors |= {"model.out.0.weight": torch.zeros(3), "ema_model.latent_net.0.weight": torch.zeros(3)}
    for name, tensor in changes.items():
        tensors.pop(f"ema_model.{name}")
        if tensor is not None:
            tensors[f"ema_model.{name}"] = tensor
    save_file(tensors, path)
    return path


@pytest.fixture
def network() -> DaeNetwork:
    torch.manual_seed(0)
    network = DaeNetwork(PUBLISHED, 16)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.05 * torch.randn_like(weight)  # also what starts with zeros
    return network.eval()


def test_imported_weights_compute_the_same(network: DaeNetwork, tmp_path: Path) -> None:
    import_original(released(network, tmp_path / "in"), tmp_path / "out", PUBLISHED, (3, 16, 16))
    dae = load_dae(tmp_path / "out")
    x, t = torch.randn(2, 2, 3, 16, 16), torch.tensor([3, 900])
    assert torch.equal(dae.network(x[0], x[1], t), network(x[0], x[1], t))
    assert (dae.crop_shape, dae.facts) == ((3, 16, 16), {"imported_from": "in"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"out.2.bias": None}, r"it lacks \['out.2.bias'\]"),
        ({"out.2.bias": torch.zeros(5)}, r"out.2.bias has the shape \(5,\), \(3,\) is needed"),
    ],
)
def test_other_weights_are_refused(
    changes: dict[str, Tensor | None], words: str, network: DaeNetwork, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=words):
        import_original(released(network, tmp_path / "in", **changes), tmp_path / "out", PUBLISHED, (3, 16, 16))
    assert not (tmp_path / "out").exists()


def test_networks_that_the_released_code_does_not_have_are_refused(network: DaeNetwork, tmp_path: Path) -> None:
    other = PUBLISHED.model_copy(update={"position": True})
    with pytest.raises(WeightsError, match=r"without counterpart there: \['unet.down.0.block.position'"):
        import_original(released(network, tmp_path / "in"), tmp_path / "out", other, (3, 16, 16))
