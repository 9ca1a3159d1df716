"""The training of the method `supervised` as a job of the workflow."""

import sys
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from vertegrade.graders.classifiers.networks import Classifier
from vertegrade.graders.classifiers.training import Learning, train_classifier
from vertegrade.graders.classifiers.training_job import ClassifierTrainingJob
from vertegrade.graders.classifiers.weights import Sees
from vertegrade.graders.supervised.network import build
from vertegrade.settings.supervised import SupervisedModelSettings, SupervisedTrainSettings
from vertegrade.training.launch import join


class SupervisedTrainingJob(ClassifierTrainingJob):
    """Graded crops or patches of training patients to a classifier."""

    method: ClassVar[str] = "supervised"
    model: SupervisedModelSettings
    train: SupervisedTrainSettings

    def run(self) -> None:
        """Train on the training patients; the validation patients choose the step whose weights are written."""
        train, validation = self.graded("train"), self.graded("validation")
        bodies = self.model.bodies if self.model.network == "seresnet" else "none"
        sees = Sees(train.images.shape, self.model.windows_hu, bodies, self.geometry_text())
        figures = train_classifier(
            self.method,
            Learning(train, sees, self.train, self.train.augment, self.seed, self.device),
            validation,
            build=lambda: build(self.model, sees),
            loss=_loss,
            classifier=lambda network: network,
            model=self.model,
            settings={
                "model": self.model.model_dump(),
                "train": self.train.model_dump(exclude={"save_every_s"}),
                "sees": vars(sees),
            },
            states=self.states,
            weights=self.weights,
            threads=self.threads,
        )
        self.report(figures, train, validation)


def _loss(network: nn.Module, x: Tensor, grade: Tensor) -> Tensor:
    """The loss of the network's head; through `network`, so that several processes share gradients."""
    whole = network.module if hasattr(network, "module") else network
    assert isinstance(whole, Classifier)
    return whole.head.loss(network(x), grade)


if __name__ == "__main__":
    join(SupervisedTrainingJob, Path(sys.argv[1]))
