"""`vertegrade index`, `check`, `grade`, `challenge`, `export` and `grade-latents`: before and after a run, and work
without a config."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

EXPORTS = ["seg", "sr", "capture", "fhir", "markups", "totalsegmentator", "spineps"]


def main() -> None:
    """Read the command line and do what it asks for."""
    parser = argparse.ArgumentParser(prog="vertegrade", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    index = commands.add_parser("index", help="write a sample sheet of all CT below a folder, from headers")
    index.add_argument("folder", type=Path, help="folder of DICOM, zips and NIfTI, nested as it may be")
    index.add_argument("--sheet", type=Path, default=Path("scans.csv"), help="sheet to write (%(default)s)")
    index.add_argument("--key", type=Path, help="key file of the pseudonyms (SHEET.key.tsv); keep it to yourself")
    index.add_argument("--replace", action="store_true", help="replace a sheet that is there already")
    index.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (%(default)s)")
    index.set_defaults(run=write_sheet)
    check = commands.add_parser("check", help="report everything that would go wrong in a run, before any work")
    check.add_argument("configfiles", nargs="*", help="as for snakemake's --configfile")
    check.add_argument("--profile", help="as for snakemake's --profile, to check it against the cluster")
    check.set_defaults(run=check_run)
    for name, targets, what in (
        ("grade", [], "grade all CT below a folder by a model; nothing is trained"),
        ("challenge", ["all", "challenge"], "the same, and see at what loss virtual fractures in it are noticed"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("folder", type=Path, help="folder of DICOM, zips and NIfTI, nested as it may be")
        command.add_argument(
            "--results", type=Path, default=Path("results/grade"), help="folder of the results (%(default)s)"
        )
        command.add_argument("--model", default="shipped", help="frozen model, or results of a run (%(default)s)")
        command.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="cores (%(default)s)")
        command.add_argument(
            "--write", nargs="+", choices=EXPORTS, default=[], help="export these too; most name the patient (none)"
        )
        command.set_defaults(run=grade_folder, targets=targets)
    export = commands.add_parser("export", help="write what a run found as DICOM, FHIR, markups and label maps")
    export.add_argument("configfiles", nargs="*", help="as for snakemake's --configfile, such as results/grade.yaml")
    export.add_argument("--write", nargs="+", choices=EXPORTS, default=EXPORTS, help="what to write (all)")
    export.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="cores (%(default)s)")
    export.set_defaults(run=export_run)
    latents = commands.add_parser("grade-latents", help="fit and judge grades on latents of your own, without images")
    latents.add_argument("file", type=Path, help=".npz or .parquet with z, grade and patient")
    latents.add_argument("--out", type=Path, default=Path("latent-grades"), help="new folder to write (%(default)s)")
    latents.add_argument("--fracture-grade", type=int, choices=(1, 2), default=1, help="least fracture (%(default)s)")
    latents.add_argument("--coverage", type=float, default=0.9, help="of the intervals (%(default)s)")
    latents.add_argument("--seed", type=int, default=0, help="of the folds (%(default)s)")
    latents.set_defaults(run=grade_latents)
    given = parser.parse_args()
    given.run(given)


def write_sheet(given: argparse.Namespace) -> None:
    """Write the sheet and say what was found; docs/how-to/own-data.md says what becomes a row."""
    from vertegrade.index.folder import IndexingError, report_of, write_index
    from vertegrade.index.pseudonyms import KeyFileError

    key = given.key or given.sheet.with_suffix(".key.tsv")
    try:
        found = write_index(given.folder, given.sheet, key, given.replace, given.jobs)
    except (IndexingError, KeyFileError) as error:
        sys.exit(f"No sheet was written: {error}")
    patients = len({row.patient_id for row in found.rows})
    print(f"{given.sheet}: {len(found.rows)} scans of {patients} patients, from {found.files} files")
    for left_out in (found.files_left_out, found.images_left_out):
        if left_out:
            print("left out:", ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items())))
    for note in found.notes:
        print("note:", note)
    print(f"what was left out and why: {report_of(given.sheet)}")


def check_run(given: argparse.Namespace) -> None:
    """Print every problem; status 1 if there is any. docs/reference/commands.md says what is checked."""
    from vertegrade.preflight.everything import check_everything

    report = check_everything(given.configfiles, given.profile)
    for problem in report.problems:
        print(problem)
    for note in report.notes:
        print("note:", note)
    count = f"{len(report.problems)} problem(s)" if report.problems else "no problem found"
    print(f"{report.cohort}: {count}")
    sys.exit(bool(report.problems))


def grade_folder(given: argparse.Namespace) -> None:
    """Write sheet and config beside the results, and run the workflow; docs/how-to/grade-a-folder.md says more."""
    from vertegrade.folder_run import FolderError, prepare

    try:
        command = prepare(given.folder, given.results, given.model, given.cores, given.write)
    except FolderError as error:
        sys.exit(f"Nothing was graded: {error}")
    # --configfile takes all that follows, up to the two dashes
    sys.exit(subprocess.run([*command, "--", *given.targets], check=False).returncode)


def export_run(given: argparse.Namespace) -> None:
    """Export what a run found, and run what it lacks; docs/how-to/export.md says more."""
    from vertegrade.folder_run import ROOT

    run = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", str(given.cores)]
    run += ["--configfile", *given.configfiles] if given.configfiles else []
    run += ["--config", f"export={{write: [{', '.join(given.write)}]}}", "--", "export"]
    sys.exit(subprocess.run(run, check=False).returncode)


def grade_latents(given: argparse.Namespace) -> None:
    """Grade latents and say where what was written lies; docs/how-to/grade-latents.md says more."""
    from pydantic import ValidationError

    from vertegrade.latents import write_grades
    from vertegrade.latents_file import LatentsError
    from vertegrade.settings.grading import GradingSettings

    try:
        settings = GradingSettings(fracture_grade=given.fracture_grade, coverage=given.coverage)
        found = write_grades(given.file, given.out, settings, given.seed)
    except ValidationError as error:
        sys.exit(f"Nothing was graded: --coverage {given.coverage:g}: {error.errors()[0]['msg']}")
    except LatentsError as error:
        sys.exit(f"Nothing was graded: {error}")
    for warning in found.warnings:
        print("warning:", warning)
    print(f"{len(found.table)} rows graded: {given.out}/report.md. Research use only, not a medical device.")


if __name__ == "__main__":
    main()
