"""The network of the method `supcon`: a 3D SE-ResNet, a head, and a projection that only the training has."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from vertegrade.graders.classifiers.images import channel_count
from vertegrade.graders.classifiers.networks import Classifier, seresnet
from vertegrade.graders.classifiers.weights import Sees
from vertegrade.settings.supcon import SupconModelSettings

HEADS = {"grades": "cross_entropy", "binary": "binary"}


class SupconNetwork(nn.Module):
    """forward: what the network sees (B, ...) -> log P(grade) (B, 4), unit vectors (B, D).

    detached: the head sees the features, but trains only itself. As released, the projection is one linear layer.
    """

    def __init__(self, classifier: Classifier, projection: int, detached: bool) -> None:
        super().__init__()
        self.classifier, self.detached = classifier, detached
        self.projection = nn.Linear(classifier.head.linear.in_features, projection)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities of grades 0-3, and the vectors that the contrastive loss compares."""
        features = self.classifier.backbone(x)
        log_p = self.classifier.head(features.detach() if self.detached else features)
        return log_p, functional.normalize(self.projection(features).float(), dim=1)


def build(model: SupconModelSettings, sees: Sees, fracture_grade: int = 1) -> Classifier:
    """What is used after the training: the SE-ResNet with its head."""
    count = channel_count(sees.shape[0], sees.bodies, len(sees.windows), sees.dimensions)
    return Classifier(*seresnet(count, model.seresnet), HEADS[model.classes], fracture_grade)


def rebuild(model: dict[str, Any], sees: Sees) -> Classifier:
    """The network of settings in the metadata of weights."""
    return build(SupconModelSettings.model_validate(model), sees)
