"""Every shell line of README and docs, typed as it stands there in a clone with a tiny config.

LINES says how each line is tried; a line that is in no entry of it fails the test, as does an entry that no page has.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from helpers.runs import ROOT, TINY, plain_environment
from helpers.series import body_hu, write_series

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(
    r"(?:[A-Z_]+=\S+ )*(?:(?:CLONE/)?\.venv/bin/\w+|make|snakemake|sbatch|squeue|python|pip|apptainer|umask|find|"
    r"totalseg_download_weights|benchmarks/\w+\.py) \S.*"
    # With one word only these are names in a sentence: `vertegrade grade`, `cp -r`.
    r"|(?:vertegrade|git|cp|rm|cd|scontrol) \S+ \S.*"
)
# What a line leaves to the reader.
PLACES = {
    "/data/ct": "ct",
    "DIR=...": "DIR=ct SHEET=again.csv",
    " [SHEET=scans.csv] [REPLACE=1]": " SHEET=scans.csv REPLACE=1",
    " [PROFILE=slurm]": "",
    "ADDRESS": str(ROOT),
}


@dataclass(frozen=True)
class Typed:
    """Typed as it stands. says: in what it prints. leaves: a file that must be there then. planned: with -n, because it
    takes long. status: with which it ends."""

    says: str = ""
    leaves: str = ""
    planned: bool = False
    status: int = 0


@dataclass(frozen=True)
class By:
    """Typed by another test, whose definition `name` is, or by a file of the project that holds `name`."""

    file: str
    name: str


@dataclass(frozen=True)
class Known:
    """A measurement of minutes: its program starts, and knows each option of the line."""


@dataclass(frozen=True)
class Absent:
    """What it needs is not here; the page says so, or it belongs to the machine."""

    why: str


EXPORT = "tests/runs/test_runs_export.py"
AUDIT = "tests/runs/test_runs_audit.py"
CHALLENGE = By("tests/house/test_makefile.py", "def test_demo_grades_the_public_scan_")
GRADE = By("tests/runs/test_runs_grade.py", "def test_make_grade_")
WRITE = By("tests/runs/test_runs_grade.py", '"WRITE=sr markups")')
EXPORTED = By("tests/runs/test_runs_grade.py", "def test_a_finished_run_is_exported_by_the_command(")
VERSE = "tests/runs/test_runs_verse.py"
SLURM = By("tests/slurm/test_slurm_run.py", "def test_whole_workflow(")
LINES: dict[str, Typed | By | Known | Absent] = {
    "make demo": By("tests/house/test_makefile.py", "def test_demo_is_snakemake_without_a_config("),
    "make challenge DIR=/data/ct": CHALLENGE,
    "make challenge DIR=FOLDER MODEL=results/all_methods OUT=results/real": CHALLENGE,
    "make grade DIR=.../lidc-idri-0001/dicom": GRADE,
    ".venv/bin/python benchmarks/grader_cohort.py FOLDER --shared ../shared/data": Known(),
    ".venv/bin/python benchmarks/leave_scanner_out.py results/grader --method dae": Known(),
    '.venv/bin/snakemake --cores 2 --configfile presets/grader.yaml --config \'cohort={"sheet": "FOLDER/sheet.csv"}\' '
    "-- freeze": Absent("the page says that it takes 45 minutes, and whose scans it needs"),
    "make grade DIR=.../lidc-idri-0001/dicom WRITE=sr OUT=/tmp/lidc": WRITE,
    "make grade DIR=/data/ct": GRADE,
    "make grade DIR=/data/ct MODEL=models/mine": GRADE,
    "make grade DIR=/data/ct MODEL=results OUT=results-applied/NAME": GRADE,
    'make grade DIR=/data/ct [OUT=results/grade] [MODEL=shipped] [WRITE="seg sr"]': WRITE,
    'make grade DIR=/data/ct WRITE="seg sr"': WRITE,
    "make grade DIR=$HOME/.cache/vertegrade-test-data/lidc-idri-0001/dicom WRITE=sr": WRITE,
    "make .venv/ready": By("tests/house/test_makefile.py", "def test_a_python_that_is_too_old_"),
    ".venv/bin/python tests/helpers/lidc.py": By("Makefile", "$(BIN)/python tests/helpers/lidc.py"),
    ".venv/bin/snakemake --cores 1 --configfile mine.yaml -- freeze": Typed("dry-run", planned=True),
    "snakemake --cores 1 freeze": Typed("dry-run", planned=True),
    "snakemake freeze": Typed("dry-run", planned=True),
    ".venv/bin/vertegrade export mine.yaml": By(EXPORT, "def test_the_command_asks_for_everything_"),
    ".venv/bin/vertegrade export mine.yaml --write totalsegmentator spineps": EXPORTED,
    "cp -r results/frozen models/mine": Typed(leaves="models/mine/model.json"),
    "rm -r models/mine": Typed(),  # the copy of the line before
    "git clone ADDRESS vertegrade && cd vertegrade": Typed(leaves="vertegrade/Makefile"),
    "umask 002": Typed(),
    "find results -type f -print0 | xargs -0 cat > /dev/null": Typed(),
    "totalseg_download_weights -t total": Absent("a program of TotalSegmentator, which would fetch weights"),
    "snakemake --cores 2 export": By(EXPORT, "def test_the_export_is_planned_for_every_shard_"),
    "make index DIR=/data/ct": Typed("1 scans of 1 patients", "scans.csv"),
    "make index DIR=...": Typed("1 scans of 1 patients", "again.csv"),
    "make index DIR=/data/ct [SHEET=scans.csv] [REPLACE=1]": Typed("1 scans of 1 patients", "scans.index.json"),
    "make index": Typed("give the folder: make index DIR=/data/ct", status=2),
    "make index DIR=verse SHEET=verse/scans.csv": By(VERSE, 'vertegrade(folder, "index", "verse"'),
    'make check-cohort CONFIG="presets/verse.yaml"': By(VERSE, 'vertegrade(folder, "check"'),
    ".venv/bin/snakemake --cores 8 --configfile presets/supervised_published.yaml presets/supcon_published.yaml "
    "presets/seq2seq_published.yaml presets/dae64.yaml presets/verse.yaml": By(
        VERSE, "def test_the_lines_of_the_how_to_are_planned_"
    ),
    ".venv/bin/snakemake --cores 8 --configfile presets/supervised_published.yaml presets/supcon_published.yaml "
    "presets/seq2seq_published.yaml presets/dae64.yaml presets/verse.yaml -- compare": By(
        VERSE, "def test_it_ends_in_the_comparison"
    ),
    "make check-cohort CONFIG=mine.yaml PROFILE=slurm": By(
        "tests/slurm/test_slurm_requests.py", "def test_check_cohort_tries_each_kind_of_job_before_the_first("
    ),
    "sbatch --test-only": By("workflow_scripts/vertegrade/preflight/slurm.py", "--test-only"),
    "make check-cohort CONFIG=mine.yaml": Typed("no problem found"),
    "make check-cohort CONFIG=mine.yaml [PROFILE=slurm]": Typed("no problem found"),
    ".venv/bin/snakemake --cores 8 --configfile mine.yaml": Typed("dry-run", planned=True),
    "CLONE/.venv/bin/snakemake --snakefile CLONE/Snakefile --directory . --cores 8 --configfile mine.yaml": Typed(
        "dry-run", planned=True
    ),
    "snakemake --configfile mine.yaml": Typed(planned=True),
    "snakemake -n": Typed("dry-run"),
    "snakemake --list-rules": Typed("train_localizer"),
    ".venv/bin/snakemake --profile slurm --configfile mine.yaml": SLURM,
    "sbatch --partition=cpu slurm/driver.sh --configfile mine.yaml": By(
        "tests/slurm/test_slurm_faults.py", "def test_driver_job_that_is_stopped_and_submitted_again("
    ),
    "squeue --me": Absent("a program of SLURM"),
    "scontrol show config": Absent("a program of SLURM"),
    "scontrol show config | grep MinJobAge": Absent("a program of SLURM"),
    "snakemake --cores 1 results/lineage/SCAN_L1.html": By(AUDIT, "lineage/"),
    "snakemake --cores 1 audit": By(AUDIT, 'run(folder, "audit")'),
    "snakemake --cores 2 audit": By(AUDIT, 'run(folder, "audit")'),
    ".venv/bin/snakemake --cores 4 audit": By(AUDIT, 'run(folder, "audit")'),
    "snakemake --cores 1 ro_crate": By(AUDIT, "ro_crate"),
    ".venv/bin/snakemake --cores 1 patient_pdfs": Typed("patient_pdfs", planned=True),
    "snakemake --cores 1 localization_pictures": Typed("dry-run", planned=True),
    "snakemake --report report.zip": By("tests/runs/test_runs_index.py", "report.zip"),
    "make why": Typed("would run"),
    "make why CONFIG=mine.yaml": Typed("would run"),
    ".venv/bin/snakemake --cores 1 why": Typed("would run"),
    'make why CONFIG=mine.yaml TARGET="results/predictions/dae.parquet train_localizer"': Typed("train_localizer"),
    "TARGET=results/predictions/dae.parquet .venv/bin/snakemake --cores 1 --configfile mine.yaml -- why": Typed(
        "would run"
    ),
    "snakemake --unlock": Typed(),
    "snakemake --cores 4 --set-resources train_dae:gpu=4": Typed(planned=True),
    "snakemake --cores 1 train_localizer": Typed(planned=True),
    ".venv/bin/snakemake --cores 8 challenge": Typed("evaluate_challenge", planned=True),
    "snakemake compare": Typed("compare_methods", planned=True),
    ".venv/bin/snakemake --cores 8 challenge --configfile mine.yaml": Typed("evaluate_challenge", planned=True),
    ".venv/bin/snakemake --cores 1 --configfile presets/shipped_localizer.yaml -- train_localizer": Typed(planned=True),
    "snakemake --cores 2 metastasis": Typed(planned=True),
    ".venv/bin/snakemake --cores 2 --configfile presets/metastasis_cpu.yaml -- metastasis": Typed(planned=True),
    "snakemake --cores 2 compare": By("tests/runs/test_runs_compare.py", '"compare"'),
    ".venv/bin/snakemake --cores 2 compare": By("tests/runs/test_runs_compare.py", '"compare"'),
    ".venv/bin/snakemake --cores 8 compare --configfile mine.yaml": Typed("compare_methods", planned=True),
    ".venv/bin/snakemake --cores 1 --configfile presets/hard_phantoms.yaml -- "
    "results/hard_phantoms/evaluation/keypoints/metrics.json": Typed(planned=True),
    ".venv/bin/snakemake --cores 2 --configfile presets/hard_phantoms.yaml presets/all_methods.yaml -- "
    "all compare": Typed(planned=True),
    ".venv/bin/snakemake --cores 1 --configfile presets/follow_up.yaml": By(
        "tests/runs/test_runs_follow_up.py", "presets/follow_up.yaml"
    ),
    ".venv/bin/vertegrade grade-latents latents.npz --out mine": By(
        "tests/house/test_latents.py", "def test_the_command_grades_and_says_what_is_wrong("
    ),
    "make config": Typed(leaves="docs/reference/config.schema.json"),
    "make clean": Typed("Caches are removed", ".venv/ready"),
    "make test": By(".ci/run", "make test"),
    ".venv/bin/python -m pytest -rP tests/browser": By(
        "tests/browser/test_browser_pages.py", "def test_it_is_small_and_soon_usable("
    ),
    "make check": By("Makefile", "test: check"),
    "apptainer build vertegrade.sif docker-archive:vertegrade.tar": Absent("the page says that it is not tested"),
    ".venv/bin/python benchmarks/overhead.py FOLDER": Known(),
    ".venv/bin/python benchmarks/picture_heights.py results/real picture_heights.json": Known(),
    ".venv/bin/python benchmarks/followup.py results/grader --virtual": Known(),
    ".venv/bin/python benchmarks/followup.py results/follow_up": Known(),
    ".venv/bin/python benchmarks/followup_scans.py results/follow_up 30": Known(),
    ".venv/bin/python benchmarks/measures.py RESULTS --scans 60": Known(),
    ".venv/bin/python benchmarks/ablation.py results OUT --steps 1500 --precision bfloat16 --only autoencoder": Known(),
    ".venv/bin/python benchmarks/ablation.py results OUT2 --steps 200 --precision bfloat16": Known(),
    ".venv/bin/python benchmarks/localization.py cohort 40 --seed 43": Known(),
    ".venv/bin/python benchmarks/localization_examples.py docs/pictures": Known(),
    ".venv/bin/python benchmarks/real_ct.py --shared ../shared/data --pictures docs/pictures": Known(),
    ".venv/bin/python benchmarks/own_scans.py FOLDER --steps 60": Known(),
    ".venv/bin/python benchmarks/against_image.py real": Known(),
    ".venv/bin/python benchmarks/mask_heights.py <results>/phantom 40": Known(),
    ".venv/bin/python benchmarks/gpu.py OUT": Known(),
    ".venv/bin/python benchmarks/canal.py --shared ../shared/data --phantoms 8": Known(),
    ".venv/bin/python benchmarks/train_canal.py FOLDER": Known(),
    ".venv/bin/python benchmarks/mutants.py": Known(),
    ".venv/bin/python benchmarks/mutants.py --table": Known(),
    ".venv/bin/python benchmarks/ct_conversion.py FOLDER... --repeats 5": Known(),
    ".venv/bin/python benchmarks/crops_memory.py FOLDER train_pca": Known(),
    ".venv/bin/python benchmarks/looks_at.py RESULTS": Known(),
    ".venv/bin/python benchmarks/intact_heights.py results": Known(),
    ".venv/bin/python benchmarks/novelty.py RESULTS --more MORE --shared ../shared/data": Known(),
}


BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def blocks_of(page: str) -> Iterator[list[str]]:
    """The lines of each block without comments."""
    for block in BLOCK.findall(page):
        yield [re.sub(r"\s+#.*", "", line).strip() for line in block.splitlines()[1:-1]]


def lines_of(page: str) -> Iterator[str]:
    """Lines in blocks and in running text, where a table has a bar as \\|."""
    for block in blocks_of(page):
        yield from block
    for span in re.findall(r"`([^`]+)`", BLOCK.sub("", page)):
        yield " ".join(span.split()).replace("\\|", "|")


FOUND = {line: page.name for page in PAGES for line in lines_of(page.read_text("utf-8")) if COMMAND.fullmatch(line)}


def test_every_line_of_the_pages_has_an_entry_and_the_other_way_round() -> None:  # field test B6
    assert {line: page for line, page in FOUND.items() if line not in LINES} == {}
    assert LINES.keys() - FOUND.keys() == set()


def test_no_line_beside_shell_lines_is_unknown() -> None:
    """A block is for a shell as a whole or not at all: a program that COMMAND lacks would need no entry."""
    for page in PAGES:
        for block in blocks_of(page.read_text("utf-8")):
            known = [bool(COMMAND.fullmatch(line)) for line in block if line]
            assert all(known) or not any(known), (page, block)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with an environment, a tiny config and a folder of CT."""
    folder = tmp_path_factory.mktemp("typed")
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in (name for name in run.stdout.split("\0") if name and (ROOT / name).is_file()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    for lock in (folder / "envs").iterdir():
        os.utime(lock, (0, 0))  # older than the environment, which is not to be made anew
    (folder / ".venv").symlink_to(sys.prefix)
    if not (folder / ".venv/ready").exists():
        pytest.skip(f"{sys.prefix} was not made by make")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    for section, values in yaml.safe_load(TINY.read_text()).items():
        for key, value in values.items():
            config[section][key] = config[section][key] | value if isinstance(value, dict) else value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "mine.yaml").write_text("run: {results: results}\n")
    (folder / "results/frozen").mkdir(parents=True)
    (folder / "results/frozen/model.json").write_text("{}")
    write_series(folder / "ct", body_hu(12))
    return folder


def typed(project: Path, line: str, how: Typed) -> None:
    for place, here in (PLACES | {"CLONE": str(project)}).items():
        line = line.replace(place, here)
    if how.planned:
        line = line.replace("snakemake", "snakemake -n", 1)
    path = f"{project}/.venv/bin{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-c", line],
        cwd=project,
        env=plain_environment(PATH=path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    told = run.stdout + run.stderr
    assert run.returncode == how.status, f"{line}\n{told[-6000:]}"
    assert how.says in told
    assert not how.leaves or (project / how.leaves).exists()


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line, how in LINES.items() if isinstance(how, Typed)])
def test_a_line_does_what_the_page_says(line: str, project: Path) -> None:  # field test B6
    how = LINES[line]
    assert isinstance(how, Typed)
    config = (project / "config.yaml").read_text()
    try:
        typed(project, line, how)
    finally:
        (project / "config.yaml").write_text(config)  # `make config` writes the defaults


@pytest.mark.parametrize("line", [line for line, how in LINES.items() if isinstance(how, By)])
def test_a_line_is_typed_where_its_entry_says(line: str) -> None:
    how = LINES[line]
    assert isinstance(how, By)
    assert how.name in (ROOT / how.file).read_text(encoding="utf-8")


# All in one process: to read torch and the rest takes seconds for each.
HELP_OF_ALL = """
import contextlib, io, json, runpy, sys
said, sys.path[0] = {}, "benchmarks"
for script in list(sys.argv[1:]):
    sys.argv = [script, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        runpy.run_path(script, run_name="__main__")
    said[script] = out.getvalue()
print(json.dumps(said))
"""
MEASUREMENTS = {
    line: script[0]
    for line, how in LINES.items()
    if isinstance(how, Known) and (script := re.search(r"benchmarks/\w+\.py", line))
}


@pytest.fixture(scope="module")
def help_of() -> dict[str, str]:
    """What each program of a measurement says of itself."""
    command = [sys.executable, "-c", HELP_OF_ALL, *sorted(set(MEASUREMENTS.values()))]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("line", MEASUREMENTS)
def test_the_program_of_a_measurement_knows_its_options(line: str, help_of: dict[str, str]) -> None:
    said = help_of[MEASUREMENTS[line]]
    assert said.startswith("usage: ")
    assert [option for option in re.findall(r"--\w+", line) if option not in said] == []


@pytest.mark.parametrize("line", [line for line, how in LINES.items() if isinstance(how, Absent)])
def test_a_line_that_cannot_be_typed_here(line: str) -> None:
    how = LINES[line]
    assert isinstance(how, Absent)
    pytest.skip(f"{line}: {how.why}")
