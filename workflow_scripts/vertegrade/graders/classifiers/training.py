"""Training of a classifier on graded images, by the loop that all networks share."""

import hashlib
import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vertegrade.graders.classifiers.augmentation import Augmentation
from vertegrade.graders.classifiers.images import channels, tensors
from vertegrade.graders.classifiers.networks import Classifier
from vertegrade.graders.classifiers.samples import Graded
from vertegrade.graders.classifiers.scoring import log_probabilities
from vertegrade.graders.classifiers.weights import Sees, save_classifier
from vertegrade.grading.calibrators import ranked_probability_scores
from vertegrade.settings.base import Section
from vertegrade.settings.classifiers import ClassifierAugmentSettings, ClassifierTrainSettings
from vertegrade.training.average import moving_average
from vertegrade.training.loop import Recipe, Training, shown
from vertegrade.training.optimisers import optimisers
from vertegrade.training.processes import Processes
from vertegrade.training.schedule import rate_share
from vertegrade.training.seeds import own_generators, step_seed
from vertegrade.training.states import States

log = logging.getLogger(__name__)


class Learning:
    """What a classifier learns from. views: how many changed copies of each image a step sees, one after the other."""

    def __init__(
        self,
        graded: Graded,
        sees: Sees,
        train: ClassifierTrainSettings,
        augment: ClassifierAugmentSettings,
        seed: int,
        device: str,
        views: int = 1,
    ) -> None:
        self.graded, self.sees, self.train, self.seed, self.device = graded, sees, train, seed, device
        self.views, self.processes = views, Processes()
        self.augmentation = Augmentation(augment, sees.dimensions, sees.shape[-1])

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """What the network sees (views * B, ...) and grades (views * B,) of this process's part of a step's batch."""
        positions = self.graded.batch(step, self.train.batch_size, self.train.balanced, self.seed)
        mine = np.array_split(positions, self.processes.count)[self.processes.rank]
        hu, bodies = tensors(self.graded.images.take(mine), self.sees.bodies, self.device)
        seen = []
        for view in range(self.views):
            part = self.processes.rank * self.views + view
            changed = self.augmentation(hu, bodies, step_seed(self.seed, step, part))
            seen.append(channels(*changed, self.sees.windows, self.sees.dimensions))
        grade = torch.from_numpy(self.graded.grade[mine]).to(self.device)
        return torch.cat(seen), grade.repeat(self.views)


def recipe(network: nn.Module, train: ClassifierTrainSettings, method: str) -> Recipe:
    """How the weights follow from their gradients."""
    return Recipe(
        steps=train.steps,
        optimisers=optimisers(network, train),
        learning_rate=lambda step: (
            train.learning_rate * rate_share(step, train.steps, train.warmup_steps, train.learning_rate_schedule)
        ),
        average=moving_average(train.ema_decay),
        gradient_clip=train.gradient_clip,
        bad_steps=train.bad_steps,
        advice=f"lower {method}.train.learning_rate or look for damaged images",
        save_every_s=train.save_every_s,
        log_every=train.validate_every,
        select_every=train.validate_every,
    )


def selection_score(log_p: np.ndarray, grade: np.ndarray) -> float:
    """How good log probabilities (N, 4) are for true grades (N,): higher is better, 0 is perfect.

    Minus the ranked probability score, averaged over grades: a proper score that counts how far off a grade is, and in
    which the rare grades weigh as much as the intact, as in a balanced batch.
    """
    scores = ranked_probability_scores(np.exp(log_p.astype(np.float64)), grade)
    return -float(np.mean([scores[grade == value].mean() for value in np.unique(grade)]))


def train_classifier(
    method: str,
    learning: Learning,
    validation: Graded,
    build: Callable[[], nn.Module],
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor],
    classifier: Callable[[Any], Classifier],
    model: Section,
    settings: dict[str, Any],
    states: States,
    weights: Path,
    threads: int,
) -> dict[str, float]:
    """Train on graded images and write the weights of the step that is best on validation patients; resumes by itself.

    build: the network with its initial weights. loss: of it, what it sees and grades. classifier: the part of it that
    is used afterwards. settings: all that makes this training what it is. Returns the figures of training; of several
    processes, the first one writes and the others return nothing. Raises as `Training.run` does.
    """
    torch.set_num_threads(threads)
    sees, seed, device, train = learning.sees, learning.seed, learning.device, learning.train
    data = {"images": learning.graded.images.sha256(), "grades": _hash(learning.graded.grade)}
    data |= {"validation_images": validation.images.sha256(), "validation_grades": _hash(validation.grade)}
    folder = states.of(settings=settings, seed=seed, device=device, inputs=data)
    short = train.precision == "bfloat16"

    def training_loss(network: nn.Module, x: Tensor, grade: Tensor) -> Tensor:
        with torch.autocast(torch.device(device).type, torch.bfloat16) if short else nullcontext():
            return loss(network, x, grade)

    def score(network: Any) -> float:
        found = log_probabilities(classifier(network), sees, validation.images, torch.device(device))
        return selection_score(found, validation.grade)

    with own_generators(seed, device):
        network = build().to(device)
        if learning.processes.count > 1 and device == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        how = recipe(network, train, method)
        figures = Training(network, learning.batch, training_loss, how, folder, seed, select=score).run()
    if not learning.processes.first:
        return {}
    network.eval()
    figures |= {"training_vertebrae": float(len(learning.graded.grade)), "parameters": float(_size(network))}
    figures |= {"validation_vertebrae": float(len(validation.grade))}
    log.info("trained: %s", shown(figures))
    about = data | {"seed": str(seed), "best_step": str(int(figures["best_step"])), "steps": str(train.steps)}
    save_classifier(Path(weights), method, classifier(network), model, sees, about)
    states.keep_only(folder)
    return figures


def _hash(grade: np.ndarray) -> str:
    return hashlib.sha256(grade.tobytes()).hexdigest()


def _size(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())
