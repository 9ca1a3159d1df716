"""The training of one network of one workflow run as data: its files and settings."""

from pathlib import Path
from typing import ClassVar

from vertegrade.files import write_json
from vertegrade.metastasis.network.learning import train_network
from vertegrade.metastasis.network.model import NetworkShape
from vertegrade.metastasis.network.vertebrae import read_vertebrae
from vertegrade.settings.metastasis import BoneTrainSettings
from vertegrade.training.launch import TrainingJob


class BoneTrainingJob(TrainingJob):
    """Slices of usable vertebrae to weights. labels, known, slices: files of the shards, in the same order.

    It runs in one process: a network of 2D slices is small, and which vertebrae are easy is known to that one.
    """

    method: ClassVar[str] = "bone_quality"
    labels: list[Path]
    known: list[Path]
    slices: list[Path]
    shape: NetworkShape
    train: BoneTrainSettings

    def run(self) -> None:
        """Train and write weights and metrics."""
        vertebrae = read_vertebrae(self.labels, self.known, self.slices)
        usable = vertebrae.labels["usable"].to_numpy(bool) & (vertebrae.classes >= 0)
        place = (self.states, self.weights, self.seed, self.device, self.threads)
        write_json(self.metrics, train_network(vertebrae.only(usable), self.shape, self.train, *place))
