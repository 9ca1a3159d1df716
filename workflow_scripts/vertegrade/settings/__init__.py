"""Every setting of the workflow, typed: description, unit, limits and default in one place.

config.yaml, its JSON schema and docs/reference/config.md are generated from these classes by `make config`.
Imported while the Snakefile is parsed, so nothing here may import numpy, pandas or torch.
"""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import field_validator

from vertegrade.methods import DEFAULT, MAIN, METHODS

from .base import Section, section, setting
from .cohort import CohortSettings, SplitSettings
from .compare import CompareSettings
from .ct import CtSettings
from .dae import DaeSettings
from .evaluation import EvaluationSettings
from .export import ExportSettings
from .follow_up import FollowUpSettings
from .freeze import FreezeSettings
from .grading import GradingSettings
from .localizer import LocalizerTrainSettings
from .metastasis import MetastasisSettings
from .patches import PatchSettings
from .phantom import PhantomSettings
from .report import ReportSettings
from .run import RunSettings
from .seq2seq import Seq2seqSettings
from .spine import CropSettings, LocalizeSettings
from .supcon import SupconSettings
from .supervised import SupervisedSettings
from .virtual import VirtualSettings


class Settings(Section):
    """All of config.yaml."""

    run: RunSettings = section(RunSettings, "The run as a whole.")
    cohort: CohortSettings = section(CohortSettings, "Scans, shards, splits and labels.")
    ct: CtSettings = section(CtSettings, "Conversion.")
    localize: LocalizeSettings = section(LocalizeSettings, "Localization of vertebrae.")
    crop: CropSettings = section(CropSettings, "Cropping of vertebrae.")
    methods: Literal["all"] | list[str] = setting(
        list(DEFAULT),
        f"Methods that grade, or `all`: {', '.join(METHODS)}. `{MAIN}` is always one, as pictures and flags are of it. "
        "Of a given model (`run.model`) those that it has.",
    )
    patches: PatchSettings = section(PatchSettings, "3D patches of vertebrae, for the methods that see them.")
    dae: DaeSettings = section(DaeSettings, "Diffusion autoencoder.")
    supervised: SupervisedSettings = section(SupervisedSettings, "Plain supervised classifiers.")
    supcon: SupconSettings = section(SupconSettings, "Supervised contrastive grading.")
    seq2seq: Seq2seqSettings = section(Seq2seqSettings, "The whole spine as a sequence of 3D patches.")
    grading: GradingSettings = section(GradingSettings, "Hyperplane, calibration, prediction.")
    follow_up: FollowUpSettings = section(
        FollowUpSettings, "Several scans of one patient, with months in the sample sheet."
    )
    virtual_fractures: VirtualSettings = section(
        VirtualSettings, "Virtual fractures in the cohort's scans (`snakemake challenge`)."
    )
    evaluation: EvaluationSettings = section(EvaluationSettings, "Metrics and figures.")
    compare: CompareSettings = section(CompareSettings, "All methods side by side (`snakemake compare`).")
    report: ReportSettings = section(ReportSettings, "Pages for people.")
    export: ExportSettings = section(ExportSettings, "What leaves the project, with the patient's name in it.")
    freeze: FreezeSettings = section(FreezeSettings, "The card of a frozen model.")
    metastasis: MetastasisSettings = section(
        MetastasisSettings, "Bone quality in spinal metastasis (`snakemake metastasis`)."
    )
    phantom: PhantomSettings = section(PhantomSettings, "The embedded phantom cohort.")
    train_localizer: LocalizerTrainSettings = section(
        LocalizerTrainSettings, "Training of the learned localizer; no part of a usual run."
    )

    @field_validator("methods", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if value == "all":
            return value
        names = value if isinstance(value, list) else [value]
        if unknown := [name for name in names if name not in METHODS]:
            raise ValueError(f"{unknown[0]!r} is no method; write a list of {', '.join(METHODS)}, or `all`")
        if MAIN not in names:
            raise ValueError(f"{MAIN} is not among them; add it, as the pictures and the flags of a run are of it")
        return names

    @property
    def chosen_methods(self) -> list[str]:
        """The methods that are asked for, in the order of their table."""
        return [name for name in METHODS if self.methods == "all" or name in self.methods]

    def patches_needed(self, methods: Iterable[str]) -> bool:
        """Whether one of these methods sees 3D patches, with these settings of its."""
        in_3d = {"supervised": self.supervised.model.network == "seresnet"}
        return any("patches" in METHODS[name].needs and in_3d.get(name, True) for name in methods)


__all__ = ["CropSettings", "LocalizeSettings", "Section", "Settings", "SplitSettings"]
