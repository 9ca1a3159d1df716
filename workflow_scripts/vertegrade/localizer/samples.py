"""What the three networks learn from, made of scans once and kept on disk: three files per scan."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from vertegrade.ct.volume import Volume
from vertegrade.localizer.centreline.samples import centreline_sample
from vertegrade.localizer.detector.samples import spine_sample
from vertegrade.localizer.refiner.samples import look_samples
from vertegrade.localizer.sample_file import save_sample
from vertegrade.progress import progress
from vertegrade.reasons import Refused
from vertegrade.training.interruption import Interruption, TrainingInterrupted

log = logging.getLogger(__name__)
KINDS = ("line", "spine", "look")
Scan = Callable[[], tuple[Volume, pd.DataFrame]]


class AnnotationError(ValueError):
    """Annotations that are broken or belong to another image; the message has a line for each."""


def make_samples(folder: Path, scans: dict[str, Scan], seed: int) -> int:
    """Write NAME.line.npz, NAME.spine.npz and NAME.look.npz of each scan; those already there are kept.

    scans: name -> what draws or reads the volume and its bodies (columns as of `training_scan`'s table).
    Returns how many there are: a scan that is Refused as excluded (sound, but nothing to learn from) is left out, with
    a warning. Those refused as failed are reported together, by an AnnotationError, after all others are done.
    Raises TrainingInterrupted (exit code 75) after a signal; the next call continues with the scan after the last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made, left_out, failed = 0, 0, []
    with Interruption() as interruption:
        for name, scan in progress([*scans.items()], log, "samples"):
            last = folder / f"{name}.look.npz"
            if last.exists():
                continue
            try:
                volume, bodies = scan()
            except Refused as refusal:
                if refusal.state == "failed":
                    failed.append(f"{name}: {refusal}")
                log.warning("%s is left out: %s", name, refusal)
                left_out += 1
                continue
            rng = np.random.default_rng([seed, *name.encode()])
            save_sample(folder / f"{name}.line.npz", centreline_sample(volume, bodies), compressed=True)
            save_sample(folder / f"{name}.spine.npz", spine_sample(volume, bodies, rng))
            save_sample(last, look_samples(volume, bodies, rng))
            made += 1
            if interruption.reason():
                log.warning("stopped after sample %s: %s", name, interruption.reason())
                raise TrainingInterrupted(interruption.reason())
    log.info("samples: %d of %d scans", made, len(scans))
    if failed:
        raise AnnotationError(
            "nothing was trained, because of these annotations; correct the files, or empty their cells in the sample "
            "sheet, and start again:\n" + "\n".join(failed)
        )
    return len(scans) - left_out


def sample_files(folder: Path, kind: str) -> list[Path]:
    """Files of one of KINDS, sorted by name; ValueError where there are none."""
    files = sorted(folder.glob(f"*.{kind}.npz"))
    if not files:
        raise ValueError(f"{folder}: no samples (*.{kind}.npz) to train the localizer on")
    return files
