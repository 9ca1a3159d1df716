"""The trained networks that find vertebrae, as they ship: two files of weights."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from vertegrade.localizer.centreline.network import CentrelineNetwork
from vertegrade.localizer.detector.network import DetectorNetwork
from vertegrade.localizer.refiner.network import RefinerNetwork
from vertegrade.localizer.weights import load_weights

CENTRELINE_KIND, VERTEBRAE_KIND = "vertegrade-centreline-1", "vertegrade-vertebrae-1"


class VertebraNetwork(nn.Module):
    """The detector and the refiner, which ship as one file."""

    def __init__(self) -> None:
        super().__init__()
        self.detector = DetectorNetwork()
        self.refiner = RefinerNetwork()


@dataclass(frozen=True)
class Localizer:
    """All networks in evaluation mode on `device`."""

    centreline: CentrelineNetwork
    vertebrae: VertebraNetwork
    device: str


def load_localizer(folder: str | Path, device: str) -> Localizer:
    """The networks of a folder (`models/localizer`); WeightsError where a file is missing or is of another network."""
    centreline, vertebrae = CentrelineNetwork(), VertebraNetwork()
    load_weights(Path(folder) / "centreline.safetensors", centreline, CENTRELINE_KIND)
    load_weights(Path(folder) / "vertebrae.safetensors", vertebrae, VERTEBRAE_KIND)
    return Localizer(centreline.to(device), vertebrae.to(device), device)


def load_refiner(path: str | Path, device: str) -> RefinerNetwork:
    """The refiner alone, from the file of the vertebrae's networks."""
    vertebrae = VertebraNetwork()
    load_weights(Path(path), vertebrae, VERTEBRAE_KIND)
    return vertebrae.refiner.to(device)
