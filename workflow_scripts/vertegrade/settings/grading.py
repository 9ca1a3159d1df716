"""Settings of the grading stage: from latents to calibrated Genant grades."""

from typing import Literal

from .base import Section, section, setting


class PcaSettings(Section):
    """The sanity baseline: principal components of the same crops, graded in the same way."""

    components: int = setting(
        64,
        "Principal components that are the latents of the baseline. Fewer where there are fewer crops.",
        ge=2,
        le=4096,
    )


class GradingSettings(Section):
    """Hyperplane, calibration and intervals, whatever made the latents."""

    fracture_grade: Literal[1, 2] = setting(
        1,
        "A vertebra counts as fractured from this Genant grade on: 1 any fracture (VerSe's own count), 2 clinically "
        "relevant.",
        "Genant grade",
    )
    classifier: Literal["svm", "logistic"] = setting(
        "logistic", "How the hyperplane is fitted: linear SVM (squared hinge) or logistic regression, both with L2."
    )
    calibration: Literal["auto", "linear", "isotonic", "ordinal_distance", "ordinal_z"] = setting(
        "auto",
        "From hyperplane distance or latent to Genant grade. `auto` takes the kind that cross-validates best "
        "(docs/design/grading.md). `linear` is published.",
    )
    folds: int = setting(
        5,
        "Folds of patients in cross-validation within the training split. Fewer where fewer patients have a fracture.",
        "folds",
        ge=2,
        le=20,
    )
    coverage: float = setting(
        0.90,
        "Probability that an interval contains the grade of a new patient's vertebra, whichever grade it is. 0.90 "
        "needs 9 validation patients, and 9 patients with a grade for a limit of its own.",
        "fraction",
        gt=0.5,
        lt=1,
    )
    novel: Literal["auto", "withhold", "flag"] = setting(
        "auto",
        "What happens to a vertebra that is unlike those of the training (flag `unlike_training`, docs/design/"
        "grading.md). `withhold`: it gets no grade. `flag`: it is graded nevertheless. `auto`: withhold where a given "
        "model grades other scans (`run.model`), flag within the cohort that trained it.",
    )
    pca: PcaSettings = section(PcaSettings, "The baseline that every other method has to beat.")
