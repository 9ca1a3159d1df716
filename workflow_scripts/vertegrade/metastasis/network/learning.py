"""Training of the network of two tasks, or of its baseline: batches, loss, recipe, and the step that is kept."""

import hashlib
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from vertegrade.metastasis.classes import CLASSES
from vertegrade.metastasis.network.augmentation import augmented
from vertegrade.metastasis.network.losses import class_of, main_losses, side_losses
from vertegrade.metastasis.network.model import LEVELS, BoneNetwork, Level, NetworkShape
from vertegrade.metastasis.network.pacing import Paced, pace, pace_share
from vertegrade.metastasis.network.predict import logits_of
from vertegrade.metastasis.network.vertebrae import Vertebrae, network_input
from vertegrade.metastasis.network.weights import save_network
from vertegrade.settings.metastasis import BoneTrainSettings
from vertegrade.training.choice import Choice
from vertegrade.training.interruption import Interruption
from vertegrade.training.loop import Recipe, Training, shown
from vertegrade.training.seeds import batch_positions, own_generators, step_seed
from vertegrade.training.states import States

log = logging.getLogger(__name__)
PLAIN: dict[str, Any] = {"auxiliary_weight": 0.0, "label_smoothing": 0.0, "self_paced": "off"}  # of the baseline


def train_network(
    vertebrae: Vertebrae,
    shape: NetworkShape,
    train: BoneTrainSettings,
    states: States,
    weights: Path,
    seed: int,
    device: str,
    threads: int,
) -> dict[str, float]:
    """Train on the training patients, keep the step that validation patients like best, write its weights.

    vertebrae: usable ones of all splits. Where posterolateral involvement is known of one kind alone, it is not
    learned, and the network says nothing of it. A level of which a class is not known has no MLP. Continues by itself
    after a kill; only a training of the same code, packages, settings, seed, device and vertebrae continues. Returns
    its figures. Raises as `Training.run` does, and ValueError where a class is missing.
    """
    torch.set_num_threads(threads)
    split = vertebrae.labels["split"].to_numpy()
    taught, checked = vertebrae.only(split == "train"), vertebrae.only(split == "validation")
    _require_classes(taught, checked)
    shape = shape.model_copy(
        update={"auxiliary": shape.auxiliary and _tells_sides(taught), "fused": _fused(taught, shape)}
    )
    data = {"taught": taught.sha256(), "validation": checked.sha256()}
    counted = {"shape": shape.model_dump(), "train": train.model_dump(exclude={"save_every_s"})}
    folder = states.of(settings=counted, seed=seed, device=device, inputs=data)
    with own_generators(seed, device):
        learning = BoneLearning(taught, shape, train, seed, device)
        network = Paced(BoneNetwork(shape), len(taught)).to(device)
        choice = Choice(folder, lambda paced: _figures_of(paced, checked, device), "validation_loss")
        training = Training(
            network, learning.batch, learning.loss, recipe(network, train), folder, seed,
            lambda paced: choice.look(paced, training.step),
        )  # fmt: skip
        figures = training.run()
        with Interruption():  # after the last step, a signal stops nothing
            choice.look(network, train.steps)
            step, loss, tensors = choice.best()
            network.load_state_dict(tensors)
            figures |= {"chosen_step": float(step), "validation_loss": loss}
            figures |= _counts(taught, checked) | {"learned_sides": float(shape.auxiliary)}
            figures["tasks"] = 2.0 if shape.tasks == "two" else 1.0
            if shape.has_mlp:
                figures |= {f"fused_{level}": float(level in shape.fused) for level in LEVELS}
    log.info("trained: %s", shown(figures))
    patients = sorted(set(taught.labels["patient_id"]))
    facts = {"seed": str(seed), "steps": str(train.steps), "chosen_step": str(step)}
    facts |= {"data_sha256": hashlib.sha256("".join(data.values()).encode()).hexdigest()}
    facts |= {"training_patients_sha256": hashlib.sha256("\n".join(patients).encode()).hexdigest()}
    save_network(weights, network.network, facts)
    states.keep_only(folder)
    return figures


class BoneLearning:
    """What a network learns from, and its loss."""

    def __init__(
        self, vertebrae: Vertebrae, shape: NetworkShape, train: BoneTrainSettings, seed: int, device: str
    ) -> None:
        self.vertebrae, self.shape, self.train, self.seed = vertebrae, shape, train, seed
        self.classes = torch.from_numpy(vertebrae.classes).to(device)
        self.members = [np.flatnonzero(vertebrae.classes == number) for number in range(len(CLASSES))]

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Step and places (B,) of vertebrae, what the network sees of them, and what is true of them."""
        places = self.places(step)
        seen = network_input(self.vertebrae.take(places), self.shape.slices)
        if self.train.augment:
            seen = augmented(seen, Generator().manual_seed(step_seed(self.seed, step)))
        of = self.vertebrae
        truth = (of.answers, of.classes, of.sides, of.slice_answers, of.slice_sides)
        return torch.tensor(step), torch.from_numpy(places), seen, *(torch.from_numpy(each[places]) for each in truth)

    def places(self, step: int) -> NDArray[np.intp]:
        """Vertebrae of a step: of every class equally many, each class in a new order when it has been gone through."""
        each = self.train.batch_size // len(CLASSES)
        return np.concatenate(
            [
                members[batch_positions(step, each, len(members), self.seed + number)]
                for number, members in enumerate(self.members)
            ]
        )

    def loss(
        self,
        paced: nn.Module,
        step: Tensor,
        places: Tensor,
        seen: Tensor,
        answers: Tensor,
        classes: Tensor,
        sides: Tensor,
        slice_answers: Tensor,
        slice_sides: Tensor,
    ) -> Tensor:
        """Mean loss of the batch's vertebrae, weighted by their pace."""
        assert isinstance(paced, Paced)
        found, train = paced(seen), self.train
        losses = main_losses(paced.network, found, answers, classes, slice_answers, train.label_smoothing)
        paced.seen[places] = losses.detach().float()
        share = pace_share(int(step), train.steps, train.pace_start, train.pace_end)
        weights = pace(losses.detach(), classes, paced.seen, self.classes, share, train.self_paced)
        if self.shape.auxiliary:
            losses = losses + train.auxiliary_weight * side_losses(found, sides, slice_sides, train.label_smoothing)
        return (weights * losses).sum() / weights.sum().clamp(min=1)


def recipe(network: nn.Module, train: BoneTrainSettings) -> Recipe:
    """How weights follow from gradients."""
    learned = [weight for weight in network.parameters() if weight.requires_grad]
    return Recipe(
        steps=train.steps,
        optimisers=[torch.optim.AdamW(learned, train.learning_rate, weight_decay=train.weight_decay)],
        learning_rate=lambda step: _learning_rate(step, train),
        average=get_ema_multi_avg_fn(train.ema_decay),
        gradient_clip=5.0,
        bad_steps=train.bad_steps,
        advice="lower metastasis.train.learning_rate or look for damaged scans",
        save_every_s=train.save_every_s,
        log_every=train.validate_every,
    )


def _learning_rate(step: int, train: BoneTrainSettings) -> float:
    """Linear warm-up, then half a cosine to zero."""
    warm = min(1.0, (step + 1) / (train.warmup_steps + 1))
    return train.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / train.steps))


@torch.no_grad()
def validation_figures(network: BoneNetwork, vertebrae: Vertebrae, device: str) -> dict[str, float]:
    """Mean over the classes of the negative log-likelihood of vertebrae; and how many are right."""
    whole = network.of_vertebrae(logits_of(network, vertebrae, device).slices)
    probabilities = network.classes(whole.to(device), "vertebrae").cpu().clamp(min=1e-6)
    classes = torch.from_numpy(vertebrae.classes)
    losses = -probabilities.gather(1, classes[:, None])[:, 0].log()
    right = (probabilities.argmax(dim=1) == classes).float()
    each = [(losses[classes == number].mean(), right[classes == number].mean()) for number in classes.unique()]
    loss, recall = (float(torch.stack(part).mean()) for part in zip(*each, strict=True))
    return {"validation_loss": loss, "validation_recall": recall}


def _figures_of(paced: nn.Module, vertebrae: Vertebrae, device: str) -> dict[str, float]:
    assert isinstance(paced, Paced)
    return validation_figures(paced.network, vertebrae, device)


def _require_classes(taught: Vertebrae, checked: Vertebrae) -> None:
    """ValueError where there is nothing to learn a class from, or nothing to choose a step by."""
    if missing := _missing(taught.classes):
        raise ValueError(
            f"no usable vertebra of the training patients is {missing}; add patients, or change cohort.splits; the "
            "reasons are in metastasis/slices/*_labels.parquet"
        )
    if not len(checked):
        raise ValueError("no validation patient has a usable vertebra; add patients, or change cohort.splits")
    if len(np.unique(checked.classes)) == 1:  # the step that calls everything by this name would be the best
        only = CLASSES[checked.classes[0]]
        raise ValueError(f"all vertebrae of the validation patients are {only}; add patients, or change cohort.splits")
    if missing := _missing(checked.classes):
        log.warning("no vertebra of the validation patients is %s: the step is chosen without", missing)


def _tells_sides(taught: Vertebrae) -> bool:
    """Whether there are two kinds of posterolateral involvement to tell apart, of vertebrae and of slices.

    Of one kind (where only vertebrae without a lesion are known: none) a network learns to say it of everything.
    """
    tells = all(len(np.unique(sides[sides >= 0])) > 1 for sides in (taught.sides, taught.slice_sides))
    if not tells:
        log.warning("posterolateral involvement is known of fewer than two kinds: it is not learned, and not answered")
    return tells


def _fused(taught: Vertebrae, shape: NetworkShape) -> list[Level]:
    """The levels whose classes an MLP learns: those of which all classes are known.

    Of normal slices alone (all that is known where only vertebrae have labels) it would learn to say normal of all.
    """
    if not shape.has_mlp:
        return []
    known = {"slices": class_of(torch.from_numpy(taught.slice_answers)).numpy(), "vertebrae": taught.classes}
    missing = {level: _missing(known[level]) for level in LEVELS}
    for level, names in missing.items():
        if names:
            log.warning("none of the %s is known to be %s: they have no MLP", level, names)
    return [level for level in LEVELS if not missing[level]]


def _missing(classes: NDArray[np.int64]) -> str:
    """Names of the classes that are not among those given; empty where all are."""
    return " or ".join(name for number, name in enumerate(CLASSES) if number not in classes)


def _counts(taught: Vertebrae, checked: Vertebrae) -> dict[str, float]:
    parts = {"training": taught, "validation": checked}
    return {f"{name}_vertebrae": float(len(part)) for name, part in parts.items()} | {
        f"{name}_patients": float(part.labels["patient_id"].nunique()) for name, part in parts.items()
    }
