"""Settings of the phantom stage: how many patients, how often they are fractured, and how much looks like it."""

from .acquisition import AcquisitionSettings
from .base import Section, section, setting


class PhantomSettings(Section):
    """The embedded phantom cohort. A patient follows from run.seed, its number and these keys."""

    patients: int = setting(
        200, "Number of patients. A patient stays the same when the cohort grows.", "patients", ge=1, le=9999
    )
    repeat_scans: float = setting(
        0.05, "Share of patients with two scans, so that splits by scan would leak.", "fraction", ge=0, le=1
    )
    follow_up: float = setting(
        0.0,
        "Share of patients with a second scan 6 to 48 months after the first, with new and progressed fractures.",
        "fraction",
        ge=0,
        le=1,
    )
    fractured_patients: float = setting(
        0.65, "Share of patients with at least one fracture (VerSe'19: 84 of 128).", "fraction", ge=0, le=1
    )
    fractures_per_patient: float = setting(
        5.2,
        "Mean number of fractures among T1-L5 of a fractured patient. 5.2 of 17 give VerSe'19's 20 %.",
        "",
        ge=1,
        le=10,
    )
    subthreshold: float = setting(
        0.04, "Share of unfractured vertebrae that lost 5-19 % of a height. Their grade is 0.", "fraction", ge=0, le=0.5
    )
    mimics: float = setting(
        0.4,
        "Share of vertebrae with a finding that is no fracture but may look like one (wedging, Schmorl's nodes, ...).",
        "fraction",
        ge=0,
        le=0.8,
    )
    scoliosis: float = setting(0.25, "Share of patients with a scoliosis of 8 degrees or more.", "fraction", ge=0, le=1)
    max_scoliosis_degrees: float = setting(20.0, "Largest scoliosis.", "degrees", ge=8, le=60)
    variants: float = setting(
        0.06,
        "Share of patients with another number of vertebrae: L6, T13, no T12 or no L5, equally often.",
        "fraction",
        ge=0,
        le=1,
    )
    slips: float = setting(
        0.04,
        "Share of patients whose L4 or L5 slipped forwards by 4-10 mm (spondylolisthesis).",
        "fraction",
        ge=0,
        le=1,
    )
    acquisition: AcquisitionSettings = section(AcquisitionSettings, "How they are scanned.")
