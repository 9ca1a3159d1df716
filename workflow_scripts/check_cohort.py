"""Say everything that would go wrong in a run, before any work: `make check-cohort CONFIG=mine.yaml`.

docs/reference/commands.md says what is checked.
"""

import argparse
import sys

from vertegrade.preflight.config import ROOT, read_settings
from vertegrade.preflight.labels import check_labels
from vertegrade.preflight.machine import check_machine
from vertegrade.preflight.sheet import check_sheet
from vertegrade.preflight.slurm import check_profile, check_submissions
from vertegrade.preflight.start import misfits, no_labels, scans_of, start_problems
from vertegrade.preflight.training import check_training


def main() -> None:
    """Read the command line, print every problem; status 1 if there is any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configfiles", nargs="*", help="as for snakemake's --configfile")
    parser.add_argument("--profile", help="as for snakemake's --profile, to check it against the cluster")
    given = parser.parse_args()
    settings, problems = read_settings([str(ROOT / "config.yaml"), *given.configfiles])
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
    problems += check_machine(settings, rows.values(), cluster=given.profile is not None)
    if given.profile:
        problems += check_profile(given.profile, settings.run.device)
    if given.profile and not problems:
        problems, more = check_submissions(given.profile, settings, ROOT / "Snakefile", given.configfiles)
        notes += more
    for problem in problems:
        print(problem)
    for note in notes:
        print("note:", note)
    patients = len({row.patient_id for row in rows.values()})
    cohort = f"{len(rows)} scans of {patients} patients" if settings.cohort.sheet else "the phantom cohort"
    print(f"{cohort}: {len(problems)} problem(s)" if problems else f"{cohort}: nothing stands in the way")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
