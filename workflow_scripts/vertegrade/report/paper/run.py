"""What is known of a run when a paper is written on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vertegrade.methods import METHODS
from vertegrade.report.plain_words import joined
from vertegrade.settings.cohort import SplitSettings
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.settings.spine import CropSettings, LocalizeSettings

SPLITS = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Run:
    """Settings and facts of a finished run.

    about: `phantom` (whether the scans are the embedded phantoms), `labels` (phantoms, people, virtual: where grades
    to learn from come from) and `seed`. flow: `cohort_flow`. metrics: what `evaluate` returned by method, the main
    method first. training: dae/training.json. localizer: facts that the weights of the networks state, by file name,
    none where something else found the vertebrae. calibrators: chosen kind by method with latents. heights: where the
    heights of intact vertebrae come from. versions: of packages. commit: of the code, None where not known.
    """

    about: Mapping[str, Any]
    splits: SplitSettings
    localize: LocalizeSettings
    crop: CropSettings
    model: DaeModelSettings
    train: DaeTrainSettings
    grading: GradingSettings
    evaluation: EvaluationSettings
    flow: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    training: Mapping[str, Any]
    localizer: Mapping[str, Mapping[str, str]]
    calibrators: Mapping[str, str]
    heights: str
    versions: Mapping[str, str]
    commit: str | None

    @property
    def phantom(self) -> bool:
        """Whether nobody was scanned."""
        return bool(self.about["phantom"])

    @property
    def whom(self) -> str:
        """Whom the scans show."""
        return "phantoms" if self.phantom else "patients"

    @property
    def methods(self) -> Sequence[str]:
        """The methods, the main one first."""
        return list(self.metrics)

    @property
    def labels(self) -> list[str]:
        """The methods as people write them."""
        return [METHODS[name].label for name in self.metrics]

    @property
    def test(self) -> Mapping[str, Any]:
        """The main method on the test split."""
        test: Mapping[str, Any] = self.metrics[self.methods[0]]["splits"]["test"]
        return test

    def counts(self) -> str:
        """Patients and evaluated vertebrae of each split, in words."""
        return joined(
            [
                f"{block['patients']} {self.whom} ({block['vertebrae']['evaluated']} graded and labelled vertebrae) "
                f"for {name}"
                for split, name in SPLITS.items()
                for block in [self.flow["splits"][split]]
            ]
        )

    def left_out(self) -> str:
        """How many scans were left out of how many, in words."""
        scans = self.flow["all"]["scans"]
        return f"{scans['in_sheet'] - scans['localized']} of {scans['in_sheet']} scans were left out"
