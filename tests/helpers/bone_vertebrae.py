"""Vertebrae for tests of the networks: noise, with bright squares for blastic lesions and dark ones for lytic ones."""

import numpy as np
import pandas as pd

from vertegrade.metastasis.classes import ANSWERS, CLASSES
from vertegrade.metastasis.network.model import NetworkShape
from vertegrade.metastasis.network.vertebrae import Vertebrae
from vertegrade.settings.metastasis import BoneSliceSettings, BoneTrainSettings

SLICES = BoneSliceSettings(count=3, size=32)
SHAPE = NetworkShape(
    growth=4, first_channels=8, blocks=[1, 1], tasks="two", fusion="mlp", fusion_hidden=4, top_slices=2, auxiliary=True,
    slices=SLICES,
)  # fmt: skip
SOFTMAX = SHAPE.model_copy(update={"tasks": "softmax", "fusion": "product", "auxiliary": False})
TRAIN = BoneTrainSettings(steps=12, batch_size=8, warmup_steps=2, validate_every=5)


def vertebrae(patients: int = 40, each: int = 4, seed: int = 0) -> Vertebrae:
    """Each patient has `each` vertebrae of classes in turn; half of the patients train."""
    rng = np.random.default_rng(seed)
    packed, known, rows = [], [], []
    for number in range(patients * each):
        name = CLASSES[number % 4]
        blastic, lytic = ANSWERS[name]
        sides = int(rng.integers(3)) if name != "normal" else 0
        slices = rng.normal(300, 60, (3, 3, 32, 32))
        answers = np.zeros((3, 3), int)
        shown = rng.choice(3, size=2, replace=False)
        for at in shown:
            slices[at, 0, 6:14, 6:14] += 600 * blastic
            slices[at, 0, 18:26, 18:26] -= 350 * lytic
            answers[at] = (blastic, lytic, sides)
        slices[:, 1] = 1
        patient = number // each
        split = ("train", "test", "train", "validation")[patient % 4]
        packed.append(slices.astype(np.int16))
        known.append(answers)
        rows.append(
            {"patient_id": f"p{patient:03d}", "scan_id": f"p{patient:03d}-1", "vertebra": 20 + number % each}
            | {"row": number, "split": split, "bone_class": name, "blastic": blastic, "lytic": lytic}
            | {"posterolateral": sides, "source": "phantom lesions", "usable": True, "reason": "", "shard": 0}
        )
    return Vertebrae(pd.DataFrame(rows), np.array(known), [np.stack(packed)])


def labelled_as_published(data: Vertebrae) -> Vertebrae:
    """The same where only vertebrae have classes (`slices.clinical_label`, `slices.slice_answers`)."""
    ill = data.labels["bone_class"] != "normal"
    labels = data.labels.assign(posterolateral=np.where(ill, -1, 0), source="Spine-Mets-CT-SEG")
    shown = np.where(labels[["blastic", "lytic", "posterolateral"]] == 0, 0, -1)
    return Vertebrae(labels, np.repeat(shown[:, None], 3, axis=1), data._arrays)
