"""The training of the method `supcon` as a job of the workflow."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from vertegrade.graders.classifiers.heads import Head
from vertegrade.graders.classifiers.training import Learning, train_classifier
from vertegrade.graders.classifiers.training_job import ClassifierTrainingJob
from vertegrade.graders.classifiers.weights import Sees
from vertegrade.graders.supcon.loss import contrastive_loss
from vertegrade.graders.supcon.network import SupconNetwork, build
from vertegrade.settings.supcon import SupconModelSettings, SupconTrainSettings
from vertegrade.training.launch import join

VIEWS = 2


class SupconTrainingJob(ClassifierTrainingJob):
    """Graded patches of training patients to a classifier. fracture_grade: for `classes: binary`."""

    method: ClassVar[str] = "supcon"
    model: SupconModelSettings
    train: SupconTrainSettings
    fracture_grade: int

    def run(self) -> None:
        """Train on the training patients; the validation patients choose the step whose weights are written."""
        train, validation = self.graded("train"), self.graded("validation")
        binary_from = self.fracture_grade if self.model.classes == "binary" else 0
        train = replace(train, binary_from=binary_from)
        sees = Sees(train.images.shape, self.model.windows_hu, self.model.bodies, self.geometry_text())
        detached = self.train.reading == "detached"
        figures = train_classifier(
            self.method,
            Learning(train, sees, self.train, self.train.augment, self.seed, self.device, VIEWS),
            validation,
            build=lambda: SupconNetwork(build(self.model, sees, self.fracture_grade), self.model.projection, detached),
            loss=lambda network, x, grade: supcon_loss(network, x, grade, self.train, binary_from),
            classifier=_classifier,
            model=self.model,
            settings={
                "model": self.model.model_dump(),
                "train": self.train.model_dump(exclude={"save_every_s"}),
                "sees": vars(sees),
                "binary_from": binary_from,
            },
            states=self.states,
            weights=self.weights,
            threads=self.threads,
        )
        self.report(figures, train, validation)


def supcon_loss(network: nn.Module, x: Tensor, grade: Tensor, train: SupconTrainSettings, binary_from: int) -> Tensor:
    """Cross-entropy of both views, and the weighted contrastive loss; through `network`, as several processes need it.

    Each process compares the vectors of its own part of the batch, as the released code does.
    """
    log_p, vectors = network(x)
    kind = (grade >= binary_from).long() if binary_from else grade
    head: Head = _classifier(network.module if hasattr(network, "module") else network).head
    loss = head.loss(log_p, grade)
    # Added also with the weight 0, so that the projection has a gradient, which several processes wait for.
    return loss + train.contrastive * contrastive_loss(vectors, kind, train.temperature)


def _classifier(network: Any) -> Any:
    return network.classifier


if __name__ == "__main__":
    join(SupconTrainingJob, Path(sys.argv[1]))
