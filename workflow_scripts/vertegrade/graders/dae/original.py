"""Weights of the released code (github.com/phizaz/diffae, of Preechakul et al., CVPR 2022) as weights of this DAE.

A released checkpoint is a pickle, which is never read here. Who trusts it saves its `state_dict` as safetensors first.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from vertegrade.graders.dae.layers import Attention, EncoderBlock, ResBlock
from vertegrade.graders.dae.network import DaeNetwork, Stage
from vertegrade.graders.dae.weights import save_dae
from vertegrade.settings.dae import DaeModelSettings
from vertegrade.weights import WeightsError, read_weights

AVERAGED = "ema_model."  # of the two networks in a checkpoint, the one that is used
PARTS: dict[type[nn.Module], dict[str, str]] = {
    ResBlock: {
        "norm": "in_layers.0",
        "first": "in_layers.2",
        "adaptive.norm": "out_layers.0",
        "adaptive.time": "emb_layers.1",
        "adaptive.semantic": "cond_emb_layers.1",
        "last": "out_layers.3",
        "skip": "skip_connection",
    },
    EncoderBlock: {"norm": "in_layers.0", "conv": "in_layers.2", "skip": "skip_connection"},
    Attention: {"norm": "norm", "qkv": "qkv", "out": "proj_out"},
}


def import_original(released: Path, weights: Path, model: DaeModelSettings, crop_shape: tuple[int, int, int]) -> None:
    """Write released weights as those of a DAE of this model, for crops of this shape (S, H, W).

    model: as in presets/dae64.yaml or dae128.yaml, with as many slices as the weights have channels (3 of photos).
    WeightsError where the file does not have exactly the tensors that this network needs.
    """
    found, _ = read_weights(released, "released DAE")
    chosen = {name.removeprefix(AVERAGED): tensor for name, tensor in found.items() if name.startswith(AVERAGED)}
    network = DaeNetwork(model, crop_shape[1])
    network.load_state_dict(translated(chosen or found, network, str(released)))
    save_dae(weights, network, model, crop_shape, {"imported_from": released.name})


def translated(found: dict[str, Tensor], network: DaeNetwork, source: str) -> dict[str, Tensor]:
    """The state dict of a network from that of the released code; errors as in `import_original`."""
    needed, names = network.state_dict(), original_names(network)
    latent = {name for name in found if name.startswith("latent_net.")}  # draws latents by chance, which is not needed
    missing, foreign = sorted(set(names.values()) - set(found)), sorted(set(found) - set(names.values()) - latent)
    if set(names) != set(needed) or missing or foreign:
        raise WeightsError(
            f"{source}: not the released DAE of these settings: it lacks {missing[:3] or 'nothing'} and has "
            f"{foreign[:3] or 'nothing'} besides; without counterpart there: {sorted(set(needed) - set(names))[:3]}"
        )
    state: dict[str, Tensor] = {}
    for ours, theirs in names.items():
        tensor, shape = found[theirs], needed[ours].shape
        # Convolutions over one pixel are one-dimensional there, or a linear map here: as many numbers in one order.
        if tensor.shape[:2] != shape[:2] or tensor.numel() != shape.numel():
            raise WeightsError(f"{source}: {theirs} has the shape {tuple(tensor.shape)}, {tuple(shape)} is needed")
        state[ours] = tensor.reshape(shape).to(torch.float32)
    return state


def original_names(network: DaeNetwork) -> dict[str, str]:
    """Name in the released code of each tensor of a network that it has too."""
    modules = dict(_modules(network))
    names = {}
    for name in network.state_dict():
        module, _, tensor = name.rpartition(".")
        if module in modules:
            names[name] = f"{modules[module]}.{tensor}"
    return names


def _modules(network: DaeNetwork) -> Iterator[tuple[str, str]]:
    """Each module with weights, and its name in the released code."""
    yield from _unet_modules(network)
    body = list(network.encoder.body)
    end = max(n for n, module in enumerate(body) if isinstance(module, nn.GroupNorm))
    middle = [end - 3, end - 2, end - 1]  # block, attention, block
    yield "encoder.body.0", "encoder.input_blocks.0.0"
    group = 0
    for n in range(1, middle[0]):
        group += isinstance(body[n], EncoderBlock)
        slot = int(isinstance(body[n], Attention))
        yield from _parts(f"encoder.body.{n}", f"encoder.input_blocks.{group}.{slot}", body[n])
    for slot, n in enumerate(middle):
        yield from _parts(f"encoder.body.{n}", f"encoder.middle_block.{slot}", body[n])
    yield f"encoder.body.{end}", "encoder.out.0"
    yield "encoder.head", "encoder.out.3"


def _unet_modules(network: DaeNetwork) -> Iterator[tuple[str, str]]:
    unet = network.unet
    yield from (("unet.time.0", "time_embed.time_embed.0"), ("unet.time.2", "time_embed.time_embed.2"))
    yield from (("unet.stem", "input_blocks.0.0"), ("unet.out.0", "out.0"), ("unet.out.2", "out.2"))
    for n, block in enumerate(unet.down):
        yield from _stage(f"unet.down.{n}", f"input_blocks.{n + 1}", block)
    yield from _stage("unet.middle.0", "middle_block", unet.middle[0])
    yield from _parts("unet.middle.1", "middle_block.2", unet.middle[1])
    group, filled = -1, 0
    for n, block in enumerate(unet.up):
        if isinstance(block, Stage):
            group, filled = group + 1, 1 + isinstance(block.attention, Attention)
            yield from _stage(f"unet.up.{n}", f"output_blocks.{group}", block)
        else:  # what doubles the sides is the last layer of a group there
            yield from _parts(f"unet.up.{n}", f"output_blocks.{group}.{filled}", block)


def _stage(ours: str, theirs: str, block: nn.Module) -> Iterator[tuple[str, str]]:
    if isinstance(block, Stage):
        yield from _parts(f"{ours}.block", f"{theirs}.0", block.block)
        yield from _parts(f"{ours}.attention", f"{theirs}.1", block.attention)
    else:
        yield from _parts(ours, f"{theirs}.0", block)


def _parts(ours: str, theirs: str, module: nn.Module) -> Iterator[tuple[str, str]]:
    for mine, other in PARTS.get(type(module), {}).items():
        yield f"{ours}.{mine}", f"{theirs}.{other}"
