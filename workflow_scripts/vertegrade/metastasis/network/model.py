"""The network: a shared DenseNet (Huang 2017, MONAI's), two answers or four classes, and posterolateral involvement.

After Peng et al. 2019 (MLMI): blastic? and lytic? are two tasks on shared features (hard parameter sharing); their
product, or an MLP as in the paper, makes four classes of the two answers; posterolateral involvement is an auxiliary
task.
"""

from typing import Literal, NamedTuple

import torch
from monai.networks.nets import DenseNet
from pydantic import BaseModel
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.metastasis.classes import ANSWERS, BASELINE, CLASSES, INVOLVED
from vertegrade.settings.metastasis import BoneSliceSettings, MetastasisSettings

CHANNELS = 2  # HU in the window, mask of the vertebra
Tasks = Literal["two", "softmax"]
Level = Literal["slices", "vertebrae"]
LEVELS: tuple[Level, ...] = ("slices", "vertebrae")


class NetworkShape(BaseModel):
    """All that is needed to build a network and to use it; it lies in the metadata of the weights."""

    growth: int
    first_channels: int
    blocks: list[int]
    tasks: Tasks
    fusion: Literal["mlp", "product"]
    fusion_hidden: int
    top_slices: int
    auxiliary: bool
    slices: BoneSliceSettings
    fused: list[Level] = list(LEVELS)  # levels that have an MLP of their own

    @property
    def has_mlp(self) -> bool:
        """Whether MLPs make classes of two answers."""
        return self.tasks == "two" and self.fusion == "mlp"


def shape_of(network: str, settings: MetastasisSettings) -> NetworkShape:
    """Shape of one of the two networks of a run (`classes.NETWORKS`)."""
    own, baseline = settings.network, network == BASELINE
    return NetworkShape(
        growth=settings.baseline_growth if baseline else own.growth,
        first_channels=settings.baseline_first_channels if baseline else own.first_channels,
        blocks=settings.baseline_blocks if baseline else own.blocks,
        tasks="softmax" if baseline else own.tasks,
        fusion="product" if baseline else own.fusion,
        fusion_hidden=own.fusion_hidden,
        top_slices=own.top_slices,
        auxiliary=not baseline and settings.train.auxiliary_weight > 0,
        slices=settings.slices,
    )


class Answers(NamedTuple):
    """Logits: answers for slices (B, S, T); posterolateral involvement of slices (B, S, 3) and of vertebrae (B, 3).

    T is 2 (blastic?, lytic?) or 4 (classes).
    """

    slices: Tensor
    slice_sides: Tensor
    sides: Tensor


class BoneNetwork(nn.Module):
    """slices (B, S, 2, H, W) to `Answers`."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.shape = shape
        self.backbone = DenseNet(
            spatial_dims=2,
            in_channels=CHANNELS,
            out_channels=1,
            init_features=shape.first_channels,
            growth_rate=shape.growth,
            block_config=shape.blocks,
        )
        features = self.backbone.class_layers.out.in_features
        self.backbone.class_layers.out = nn.Identity()
        self.answers = nn.Linear(features, 2 if shape.tasks == "two" else len(CLASSES))
        self.sides = nn.Linear(2 * features, len(INVOLVED)) if shape.auxiliary else None
        self.fusions = nn.ModuleDict()
        if shape.has_mlp:
            # One of each: the strongest slices of a vertebra have other answers than any slice.
            for level in shape.fused:
                self.fusions[level] = FusionMlp(shape.fusion_hidden)

    def forward(self, slices: Tensor) -> Answers:
        count, height = slices.shape[:2]
        features = self.backbone(slices.flatten(0, 1)).unflatten(0, (count, height))
        if self.sides is None:
            nothing = features.new_zeros(count, height, len(INVOLVED))
            return Answers(self.answers(features), nothing, nothing[:, 0])
        # The mean and the largest of one slice are the slice itself, so one head serves slices and vertebrae.
        whole = torch.cat([features.mean(dim=1), features.amax(dim=1)], dim=-1)
        return Answers(self.answers(features), self.sides(torch.cat([features] * 2, dim=-1)), self.sides(whole))

    def of_vertebrae(self, slices: Tensor) -> Tensor:
        """Logits of vertebrae (B, T) from those of slices (B, S, T): means over the slices with the strongest answers.

        Of two tasks each has its own slices; of four classes these are the slices that look least normal.
        """
        wanted = min(self.shape.top_slices, slices.shape[1])
        if self.shape.tasks == "two":
            return slices.topk(wanted, dim=1).values.mean(dim=1)
        normal = slices.log_softmax(dim=-1)[..., CLASSES.index("normal")]
        chosen = normal.topk(wanted, dim=1, largest=False).indices
        return slices.gather(1, chosen[..., None].expand(-1, -1, slices.shape[2])).mean(dim=1)

    def has_classes(self, level: Level) -> bool:
        """Whether the classes of a level are learned: by the only task, or by an MLP."""
        return self.shape.tasks == "softmax" or level in self.fusions

    def class_logits(self, logits: Tensor, level: Level) -> Tensor:
        """Logits of the four classes (..., 4) from the answers of a level, logits (..., T).

        Where two tasks have no MLP, their answers are taken as independent.
        """
        if self.shape.tasks == "softmax":
            return logits
        if level in self.fusions:
            made: Tensor = self.fusions[level](logits)
            return made
        return log_product(logits)

    def classes(self, logits: Tensor, level: Level) -> Tensor:
        """Probabilities of the four classes (..., 4); see `class_logits`."""
        return self.class_logits(logits, level).softmax(dim=-1)


def log_product(logits: Tensor) -> Tensor:
    """Log-probabilities of the four classes (..., 4) from two logits (..., 2) that are taken as independent."""
    signs = 2 * torch.tensor([ANSWERS[name] for name in CLASSES], dtype=logits.dtype, device=logits.device) - 1
    return functional.logsigmoid(signs * logits[..., None, :]).sum(dim=-1)


class FusionMlp(nn.Module):
    """The MLP from two logits (..., 2) to logits of four classes (..., 4): what it adds to the product of the answers.

    Untaught it is that product. An MLP alone may fall onto one line, along which lytic and normal are the same end.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        last = nn.Linear(hidden, len(CLASSES))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), last)

    def forward(self, logits: Tensor) -> Tensor:
        """See the class."""
        added: Tensor = self.layers(logits)
        return log_product(logits) + added


def answers_of(classes: Tensor) -> Tensor:
    """Probabilities of blastic and lytic (..., 2) from those of the four classes."""
    shows = torch.tensor([ANSWERS[name] for name in CLASSES], dtype=classes.dtype, device=classes.device)
    return classes @ shows
