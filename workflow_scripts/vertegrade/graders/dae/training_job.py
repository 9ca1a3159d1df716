"""The DAE's training of one workflow run as data: its files and settings."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, ClassVar

from vertegrade.files import write_json
from vertegrade.graders.dae.training import train_dae
from vertegrade.graders.taught import crops_of_split
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.tables import PATIENT_SPLITS, read_table
from vertegrade.training.launch import TrainingJob, join


class DaeTrainingJob(TrainingJob):
    """Crops of training patients to weights. crops, pixels: the shards' tables and arrays, in the same order."""

    method: ClassVar[str] = "dae"
    crops: list[Path]
    pixels: list[Path]
    splits: Path
    crop_settings: dict[str, Any]
    model: DaeModelSettings
    train: DaeTrainSettings

    def run(self) -> None:
        """Train on the training patients' crops, look at the validation patients', and write weights and metrics."""
        splits = read_table(self.splits, PATIENT_SPLITS)
        crops, patients = crops_of_split(self.crops, self.pixels, splits, "train")
        others, _ = crops_of_split(self.crops, self.pixels, splits, "validation")
        facts = {
            "training_patients_sha256": hashlib.sha256("\n".join(sorted(patients)).encode()).hexdigest(),
            "crop": json.dumps(self.crop_settings, sort_keys=True),
        }
        place = (self.states, self.weights, self.seed, self.device, self.threads)
        metrics = train_dae(crops, self.model, self.train, *place, facts=facts, validation_crops=others)
        if metrics:
            write_json(self.metrics, metrics | {"patients": len(patients)})


if __name__ == "__main__":
    join(DaeTrainingJob, Path(sys.argv[1]))
