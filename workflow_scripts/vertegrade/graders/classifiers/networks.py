"""The networks: MONAI's DenseNet and SE-ResNet, whose last layer is replaced by a head."""

from typing import Protocol

import torch
from monai.networks.nets import DenseNet, SENet
from torch import Tensor, nn

from vertegrade.graders.classifiers.heads import Head
from vertegrade.settings.classifiers import SeResNetSettings

PUBLISHED_CHANNELS = 64


class DenseNetSizes(Protocol):
    """Sizes of a DenseNet."""

    channels: int
    growth: int
    layers: list[int]


class SeResNet(SENet):
    """MONAI's SE-ResNet with another width; forward: (B, C, S, H, W) -> features (B, F).

    channels: of the first stage; MONAI's has 64.
    """

    def __init__(self, in_channels: int, sizes: SeResNetSettings) -> None:
        self.width = sizes.channels  # before nn.Module's own start, as MONAI's start calls _make_layer
        super().__init__(
            spatial_dims=3,
            in_channels=in_channels,
            block="se_resnet_bottleneck",
            layers=sizes.layers,
            groups=1,
            reduction=min(16, sizes.channels),
            dropout_prob=None,
            inplanes=sizes.channels,
            downsample_kernel_size=1,
            input_3x3=False,
            num_classes=1,
        )
        if sizes.fine_stem:
            stem = nn.Conv3d(in_channels, sizes.channels, kernel_size=3, stride=2, padding=1, bias=False)
            nn.init.kaiming_normal_(stem.weight)
            self.layer0 = nn.Sequential(stem, nn.BatchNorm3d(sizes.channels), nn.ReLU(inplace=True))
        self.last_linear = nn.Identity()
        self.features_out = self.inplanes

    def forward(self, x: Tensor) -> Tensor:
        """Features. On a CPU a step takes half of the time where the channels of a voxel lie together."""
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last_3d)
        features: Tensor = super().forward(x)
        return features

    def _make_layer(self, block, planes, *arguments, **named):  # type: ignore[no-untyped-def]
        return super()._make_layer(block, planes * self.width // PUBLISHED_CHANNELS, *arguments, **named)


class Classifier(nn.Module):
    """A backbone and its head; forward: what the network sees -> log P(grade) (B, 4)."""

    def __init__(self, backbone: nn.Module, features: int, head: str, fracture_grade: int = 1) -> None:
        super().__init__()
        self.backbone, self.head = backbone, Head(head, features, fracture_grade)

    def forward(self, x: Tensor) -> Tensor:
        """Log probabilities of grades 0-3."""
        log_p: Tensor = self.head(self.backbone(x))
        return log_p


def densenet(in_channels: int, sizes: DenseNetSizes) -> tuple[nn.Module, int]:
    """MONAI's 2D DenseNet without its last layer, (B, C, H, W) -> features (B, F), and F."""
    network = DenseNet(2, in_channels, 1, sizes.channels, sizes.growth, sizes.layers)
    features = network.class_layers.out.in_features
    network.class_layers.out = nn.Identity()
    return network, int(features)


def seresnet(in_channels: int, sizes: SeResNetSettings) -> tuple[nn.Module, int]:
    """The 3D SE-ResNet without a last layer, and the number of its features."""
    network = SeResNet(in_channels, sizes)
    return network, int(network.features_out)
