"""A run for a person with a folder of CT and no config: the sheet and the config are written here.

They lie beside the results, under the same name: `results/grade.scans.csv`, its index and its key, and
`results/grade.yaml`. Not in the results, since the key names the patients.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from vertegrade.files import write_text
from vertegrade.index.folder import IndexingError, update_index
from vertegrade.index.pseudonyms import KeyFileError
from vertegrade.preflight.everything import check_everything
from vertegrade.preflight.start import opened

ROOT = Path(__file__).resolve().parents[2]
# About one scan in each: a scan that is added later makes no other one run again.
SHARDS = 10000


class FolderError(ValueError):
    """The folder cannot be graded; the message says why and what to do."""


def prepare(folder: Path, results: Path, model: str, cores: int, write: Sequence[str] = ()) -> list[str]:
    """Index the folder, write the config, check both, and return the command that grades (and exports `write`).

    FolderError before any work. What costs single scans is printed, and the run leaves these out with a reason. A
    second call takes the scans that were added; what a person wrote into sheet and config stays.
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
        found, kept = update_index(folder, sheet, beside(results, "scans.key.tsv"), cores)
    except (IndexingError, KeyFileError) as error:
        raise FolderError(str(error)) from error
    told = write_config(config, results, model, sheet, write)
    stays = ", ".join(kept) or "what you correct in it (patient_id, months) stays when you give the command again"
    report = check_everything([str(config)], None)
    for line in (*found.notes, f"{sheet}: {stays}", *told, *report.problems, *report.notes):
        print("note:", line)
    quiet = ["--quiet", "host", "reason", "rules"]  # what is left is the progress, and logs of what fails
    run = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *quiet]
    return [*run, "--cores", str(cores), "--configfile", str(config)]


def beside(results: Path, name: str) -> Path:
    """A file of a run beside its results."""
    return results.with_name(f"{results.name}.{name}")


def write_config(path: Path, results: Path, model: str, sheet: Path, write: Sequence[str] = ()) -> list[str]:
    """Write the config of the run, or what is ours into the one that is there, and return what a person should know.

    write: what to export; without any, what the config asks for stays. A sheet of another name, and a number of shards,
    are a person's own and stay too. FolderError: the config is no YAML.
    """
    try:
        config = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None) or {}
        run, cohort = config.get("run") or {}, config.get("cohort") or {}
        own, told = _own_sheet(path, cohort.get("sheet"), sheet)
        run |= {"results": str(results), "model": model}
        config |= {"run": run, "cohort": {"shards": SHARDS} | cohort | {"sheet": own}}
        config.setdefault("methods", "all")  # that the model was trained for
        if write:
            config["export"] = (config.get("export") or {}) | {"write": list(write)}
        exported = [str(kind) for kind in (config.get("export") or {}).get("write") or []]
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        text = " ".join(str(error).split())
        raise FolderError(f"{path} cannot be read as a config ({text}); correct it, or remove it") from error
    write_text(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    if exported:
        told.append(
            f"{path}: export.write asks for {', '.join(exported)}: each run writes them into {results}-export; seg, "
            "sr, capture and fhir name the patient; to end this, remove export.write from that file"
        )
    return told


def _own_sheet(config: Path, named: object, sheet: Path) -> tuple[object, list[str]]:
    """The sheet that is graded, and a line where it is not simply the one that was there.

    named: what the config says. Another place of a sheet of our name is where the results were before they moved.
    """
    if not named:
        return str(sheet), []
    if Path(str(named)).name != sheet.name:
        return named, [f"{config} names the sheet {named}: that is graded as it is, new scans are in {sheet} alone"]
    moved = Path(str(named)).resolve() != sheet.resolve()
    return str(sheet), [f"{config}: cohort.sheet was {named} and is {sheet} now"] * moved
