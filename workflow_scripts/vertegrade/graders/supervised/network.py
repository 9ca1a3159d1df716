"""The network of the method `supervised`."""

from typing import Any

from vertegrade.graders.classifiers.images import channel_count
from vertegrade.graders.classifiers.networks import Classifier, densenet, seresnet
from vertegrade.graders.classifiers.weights import Sees
from vertegrade.settings.supervised import SupervisedModelSettings


def build(model: SupervisedModelSettings, sees: Sees) -> Classifier:
    """DenseNet for crops or SE-ResNet for patches, with its head."""
    count = channel_count(sees.shape[0], sees.bodies, len(sees.windows), sees.dimensions)
    two = model.network == "densenet"
    return Classifier(*(densenet(count, model.densenet) if two else seresnet(count, model.seresnet)), model.head)


def rebuild(model: dict[str, Any], sees: Sees) -> Classifier:
    """The network of settings in the metadata of weights."""
    return build(SupervisedModelSettings.model_validate(model), sees)
