"""Every setting of the workflow, typed: description, unit, limits and default in one place.

config.yaml, its JSON schema and docs/reference/config.md are generated from these classes by `make config`.
Imported while the Snakefile is parsed, so nothing here may import numpy, pandas or torch.
"""

from .base import Section, section
from .cohort import CohortSettings, SplitSettings
from .ct import CtSettings
from .dae import DaeSettings
from .evaluation import EvaluationSettings
from .freeze import FreezeSettings
from .grading import GradingSettings
from .localizer import LocalizerTrainSettings
from .metastasis import MetastasisSettings
from .phantom import PhantomSettings
from .report import ReportSettings
from .run import RunSettings
from .spine import CropSettings, LocalizeSettings
from .virtual import VirtualSettings


class Settings(Section):
    """All of config.yaml."""

    run: RunSettings = section(RunSettings, "The run as a whole.")
    cohort: CohortSettings = section(CohortSettings, "Scans, shards, splits and labels.")
    ct: CtSettings = section(CtSettings, "Conversion.")
    localize: LocalizeSettings = section(LocalizeSettings, "Localization of vertebrae.")
    crop: CropSettings = section(CropSettings, "Cropping of vertebrae.")
    dae: DaeSettings = section(DaeSettings, "Diffusion autoencoder.")
    grading: GradingSettings = section(GradingSettings, "Hyperplane, calibration, prediction.")
    virtual_fractures: VirtualSettings = section(
        VirtualSettings, "Virtual fractures in the cohort's scans (`snakemake challenge`)."
    )
    evaluation: EvaluationSettings = section(EvaluationSettings, "Metrics and figures.")
    report: ReportSettings = section(ReportSettings, "Pages for people.")
    freeze: FreezeSettings = section(FreezeSettings, "The card of a frozen model.")
    metastasis: MetastasisSettings = section(
        MetastasisSettings, "Bone quality in spinal metastasis (`snakemake metastasis`)."
    )
    phantom: PhantomSettings = section(PhantomSettings, "The embedded phantom cohort.")
    train_localizer: LocalizerTrainSettings = section(
        LocalizerTrainSettings, "Training of the learned localizer; no part of a usual run."
    )


__all__ = ["CropSettings", "LocalizeSettings", "Section", "Settings", "SplitSettings"]
