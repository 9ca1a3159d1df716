"""Settings of follow-up: what counts as a change between two scans of a patient."""

from .base import Section, setting


class FollowUpSettings(Section):
    """Several scans of one patient, where the sample sheet says when they were made (`months`)."""

    further_loss: float = setting(
        0.15,
        "A vertebra that lost at least this share of a height since the earlier scan has a new fracture, or if it was "
        "fractured before, a progressed one. 0.15: trials of treatments (such as Riggs 1990, N Engl J Med 322:802). "
        "0.2: Genant's least grade, and other trials.",
        "fraction",
        ge=0.05,
        le=0.5,
    )
    certainty: float = setting(
        0.9,
        "Which vertebra is which in both scans must be as probable as this. Otherwise nothing is said of a change.",
        "probability",
        gt=0.5,
        lt=1,
    )
