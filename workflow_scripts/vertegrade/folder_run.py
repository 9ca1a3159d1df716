"""A run for a person with a folder of CT and no config: the sheet and the config are written here.

They lie beside the results, under the same name: `results/grade.scans.csv`, its index and its key, and
`results/grade.yaml`. Not in the results, since the key names the patients.
"""

import sys
from pathlib import Path

import yaml

from vertegrade.files import write_text
from vertegrade.index.folder import IndexingError, write_index
from vertegrade.index.pseudonyms import KeyFileError
from vertegrade.preflight.everything import check_everything
from vertegrade.preflight.start import opened

ROOT = Path(__file__).resolve().parents[2]
# About one scan in each: a scan that is added later makes no other one run again.
SHARDS = 10000


class FolderError(ValueError):
    """The folder cannot be graded; the message says why and what to do."""


def prepare(folder: Path, results: Path, model: str, cores: int) -> list[str]:
    """Index the folder, write the config, check both, and return the command that grades.

    FolderError before any work. What costs single scans is printed, and the run leaves these out with a reason. A
    second call takes the scans that were added; keys that a person wrote into the config stay.
    """
    _, problems = opened(model, ROOT)
    if problems:
        raise FolderError("\n".join(problems))
    if results.resolve().is_relative_to(folder.resolve()):
        raise FolderError(
            f"the results {results} would lie in {folder} and be taken for scans there; name another place for them "
            "(OUT=...)"
        )
    sheet, config = beside(results, "scans.csv"), beside(results, "yaml")
    try:
        found = write_index(folder, sheet, beside(results, "scans.key.tsv"), replace=True, jobs=cores)
    except (IndexingError, KeyFileError) as error:
        raise FolderError(str(error)) from error
    write_config(config, results, model, sheet)
    report = check_everything([str(config)], None)
    for line in (*found.notes, *report.problems, *report.notes):
        print("note:", line)
    quiet = ["--quiet", "host", "reason", "rules"]  # what is left is the progress, and logs of what fails
    run = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *quiet]
    return [*run, "--cores", str(cores), "--configfile", str(config)]


def beside(results: Path, name: str) -> Path:
    """A file of a run beside its results."""
    return results.with_name(f"{results.name}.{name}")


def write_config(path: Path, results: Path, model: str, sheet: Path) -> None:
    """Write the config of the run, or what is ours into the one that is there; FolderError where that is no YAML."""
    ours: dict[str, dict[str, object]] = {
        "run": {"results": str(results), "model": model},
        "cohort": {"sheet": str(sheet), "shards": SHARDS},
    }
    try:
        config = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None) or {}
        config |= {section: (config.get(section) or {}) | values for section, values in ours.items()}
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        text = " ".join(str(error).split())
        raise FolderError(f"{path} cannot be read as a config ({text}); correct it, or remove it") from error
    write_text(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
