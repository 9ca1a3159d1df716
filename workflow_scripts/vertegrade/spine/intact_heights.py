"""Heights of intact vertebrae before anything is known of the patient: means by level, and how far both deviate.

Two sources: the training split of a cohort (fit_intact_heights.py), or the published statistics of level_statistics.py.
The phantoms are drawn from the latter, so figures on phantoms that are graded by them are circular.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.files import read_json, sha256_of
from vertegrade.levels import LABEL_OF, NAMES
from vertegrade.model_files import INTACT_HEIGHTS_KEYS, check_keys
from vertegrade.spine.level_statistics import PERSON_RATIO, PERSON_SIZE, VERTEBRA_HEIGHT, VERTEBRA_RATIO, level_sizes

# Relative spread between intact vertebrae that level_statistics leaves out: mild deformities that are no fractures.
DEFORMITY = 0.03
TRAINING, PUBLISHED = "training", "published"
# What deviates, in this order: anterior and middle height over the posterior one, and the posterior one.
DEVIATIONS = ["anterior_ratio", "middle_ratio", "size"]


@dataclass(frozen=True)
class IntactHeights:
    """What `intact_log_heights` expects of a vertebra at first.

    heights_mm: anterior, middle, posterior (3,) by VerSe label. person_sd, vertebra_sd: standard deviations (3,) of
    the logarithms, as DEVIATIONS, between people and between the vertebrae of one person. sha256: of the file that they
    were read from, "" where they were not.
    """

    heights_mm: dict[int, Floats]
    person_sd: Floats
    vertebra_sd: Floats
    sha256: str = ""


def published() -> IntactHeights:
    """The means and spreads of level_statistics.py."""
    heights = {
        label: size.height_posterior_mm * np.array([size.ratio_anterior, size.ratio_middle, 1.0])
        for label, size in level_sizes().items()
    }
    own = np.array([VERTEBRA_RATIO, VERTEBRA_RATIO, VERTEBRA_HEIGHT])
    return IntactHeights(heights, np.array([PERSON_RATIO, PERSON_RATIO, PERSON_SIZE]), np.hypot(own, DEFORMITY))


def content_of(
    heights: IntactHeights,
    why: str = "",
    patients: Mapping[int, int] | None = None,
    errors: Mapping[int, Floats] | None = None,
    counts: tuple[int, int] = (0, 0),
) -> dict[str, Any]:
    """What a file of intact heights contains.

    why: why they are the published ones, "" where they were fitted. patients, errors: by label, how many training
    patients have an intact vertebra there, and the standard errors (3,) of the logarithms; of the levels that were
    fitted. counts: training patients and vertebrae.
    """
    patients, errors = patients or {}, errors or {}
    levels = {
        NAMES[label]: {
            "heights_mm": three.tolist(),
            "patients": patients.get(label, 0),
            "errors": errors[label].tolist() if label in errors else None,
        }
        for label, three in heights.heights_mm.items()
    }
    spreads = {"person_sd": heights.person_sd, "vertebra_sd": heights.vertebra_sd}
    about = f"published level statistics ({why})"
    if not why:
        about = f"fitted to {counts[1]} vertebrae of {counts[0]} training patients"
    return {
        "source": PUBLISHED if why else TRAINING,
        "about": about,
        "patients": counts[0],
        "vertebrae": counts[1],
        "levels": levels,
    } | {name: dict(zip(DEVIATIONS, values.tolist(), strict=True)) for name, values in spreads.items()}


def read_intact_heights(path: str | Path) -> IntactHeights:
    """The numbers of a file that `fit_heights` wrote; ModelFileError where another version did."""
    numbers = read_json(path)
    check_keys(numbers, INTACT_HEIGHTS_KEYS, str(path))
    person, own = (np.array([numbers[name][key] for key in DEVIATIONS]) for name in ("person_sd", "vertebra_sd"))
    heights = {LABEL_OF[name]: np.array(level["heights_mm"]) for name, level in numbers["levels"].items()}
    return IntactHeights(heights, person, own, sha256_of(Path(path)))
