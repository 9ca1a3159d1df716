"""All checks of a run before any work, in one list: `vertegrade check`."""

from collections.abc import Sequence
from typing import NamedTuple

from vertegrade.cohort.months import follow_up_pairs
from vertegrade.preflight.config import ROOT, read_settings
from vertegrade.preflight.labels import check_labels
from vertegrade.preflight.machine import check_machine
from vertegrade.preflight.sheet import check_sheet
from vertegrade.preflight.slurm import check_profile, check_submissions
from vertegrade.preflight.start import misfits, model_notes, no_labels, scans_of, start_problems
from vertegrade.preflight.training import check_training


class Report(NamedTuple):
    """cohort: what the run works on, in words. problems: what would stop it. notes: what is worth knowing."""

    cohort: str
    problems: list[str]
    notes: list[str]


def check_everything(configfiles: Sequence[str], profile: str | None) -> Report:
    """What a run of these config files would meet; with a profile of Snakemake also on the cluster."""
    settings, problems = read_settings([str(ROOT / "config.yaml"), *configfiles])
    rows, found = check_sheet(settings)
    problems += found
    scans = list(rows.values()) if settings.cohort.sheet else scans_of(settings)
    problems += start_problems(settings, scans)
    if scans:
        problems += no_labels(settings, scans)
    found, notes = check_labels(settings, rows)
    problems += found
    if not problems:
        problems += misfits(settings, scans)
        problems += check_training(settings, rows)
        notes += model_notes(settings)
    problems += check_machine(settings, rows.values(), cluster=profile is not None)
    if profile:
        problems += check_profile(profile, settings.run.device, settings.chosen_methods)
    if profile and not problems:
        problems, more = check_submissions(profile, settings, ROOT / "Snakefile", list(configfiles))
        notes += more
    patients = len({row.patient_id for row in rows.values()})
    cohort = f"{len(rows)} scans of {patients} patients" if settings.cohort.sheet else "the phantom cohort"
    followed = {patient for patient, *_ in follow_up_pairs(scans)} if not problems else set()
    cohort += f", {len(followed)} of them followed up (months)" if followed else ""
    return Report(cohort, problems, notes)
