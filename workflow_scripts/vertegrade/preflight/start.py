"""What stops a run before its first job: one list, for the Snakefile and for `make check-cohort`.

Imported while the Snakefile is parsed, so nothing here may import torch, numpy or pandas.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from vertegrade.cohort.qc import QcMark, read_marks
from vertegrade.cohort.sheet import PATTERN, ScanRow, SheetError, delimited_rows, read_sheet
from vertegrade.frozen import content_problems, differences, is_frozen, methods_in, model_problems, read_model
from vertegrade.graders.dae.shapes import shape_problems
from vertegrade.methods import METHODS
from vertegrade.model_files import NETWORKS, ModelFileError
from vertegrade.phantom.roster import phantom_rows
from vertegrade.preflight.model import model_folder, with_model
from vertegrade.settings import Settings
from vertegrade.settings.loading import SettingsError, check_settings, check_yaml, where_given

PATHS = ["run.results", "run.logs", "run.model", "cohort.sheet", "cohort.labels", "localize.weights"]
PATHS += ["localize.overrides", "cohort.qc"]


class StartError(ValueError):
    """The run cannot start; the message lists every problem."""


@dataclass(frozen=True)
class Start:
    """What a run starts with: settings (a given model's own where it has its own), scans, and what people say of them.

    overrides: corrections by hand. marks: of quality control, by scan.
    """

    settings: Settings
    scans: list[ScanRow]
    overrides: list[dict[str, str]]
    marks: dict[str, QcMark]


def start(config: dict[str, Any], files: Sequence[str], more: dict[str, Any], root: Path) -> Start:
    """What a run of a merged config starts with, or StartError.

    files: the YAML files that it came from. more: what --config said. root: folder of the Snakefile.
    """
    try:
        check_yaml(files)
        settings, problems = settled(check_settings(config, files, more), config, files, more, root)
    except SettingsError as error:
        raise StartError(str(error)) from None
    problems += _setting_problems(settings)
    scans, overrides, marks = list[ScanRow](), list[dict[str, str]](), dict[str, QcMark]()
    try:
        scans = scans_of(settings)
        overrides, found = _corrections(settings, scans)
        marks, wrong = _marks(settings, scans)
        problems += found + wrong
    except SheetError as error:
        problems.append(str(error))
    if problems:
        raise StartError("\n".join(problems))
    return Start(settings, scans, overrides, marks)


def settled(
    settings: Settings, config: dict[str, Any], files: Sequence[str], more: dict[str, Any], root: Path
) -> tuple[Settings, list[str]]:
    """The settings with a given model's own in place of defaults, and what of the config contradicts the model.

    run.model then names the model's folder, also where it was `shipped`.
    """
    if not settings.run.model:
        return settings, []
    given = where_given(config, files, more, root / "config.yaml")
    try:
        model = read_model(model_folder(settings.run.model, root))
    except ModelFileError as error:
        return settings, [f"run.model = {settings.run.model}: {error}"]
    run = settings.run.model_copy(update={"model": model.folder})
    return with_model(settings.model_copy(update={"run": run}), given, model, root / "models/localizer")


def opened(model: str, root: Path) -> tuple[Settings, list[str]]:
    """The settings that a model brings where nobody gives others, and all that is wrong with it."""
    config = {"run": {"model": model}}
    settings, problems = settled(check_settings(config), config, [], {}, root)
    problems = problems or list(_model(settings))
    return settings, problems or misfits(settings, [])


def scans_of(settings: Settings) -> list[ScanRow]:
    """The scans of a run: the phantoms', or the sheet's sorted by their ids, so that its order has no effect.

    SheetError with all problems of the sheet.
    """
    if settings.cohort.sheet:
        return sorted(read_sheet(settings.cohort.sheet), key=attrgetter("scan_id"))
    return phantom_rows(settings.phantom, settings.cohort.shards, settings.run.results)


def start_problems(settings: Settings, scans: Iterable[ScanRow]) -> list[str]:
    """All that the files and folders named by the settings show without opening images or tables of labels."""
    rows = list(scans)
    return _setting_problems(settings) + _corrections(settings, rows)[1] + _marks(settings, rows)[1]


def _setting_problems(settings: Settings) -> list[str]:
    return [*_paths(settings), *_shapes(settings), *_model(settings), *_weights(settings)]


def no_labels(settings: Settings, scans: Iterable[ScanRow]) -> list[str]:
    """A cohort from which nothing can be learned, and for which there is no model either."""
    labelled = not settings.cohort.sheet or settings.cohort.labels or any(row.labels for row in scans)
    if labelled or settings.run.model:
        return []
    return [
        "cohort: no labels and no model: grades cannot be learned; give cohort.labels (or a column labels in the "
        "sheet), or name the results of a finished run as run.model"
    ]


def misfits(settings: Settings, scans: Iterable[ScanRow]) -> list[str]:
    """A given model whose parts do not fit together or to this version; it must have had no other problem.

    Weights are hashed for it, so it is asked once per run and not by every job.
    """
    if not settings.run.model:
        return []
    return list(content_problems(read_model(settings.run.model), methods_of(settings, scans), points_from(settings)))


def model_notes(settings: Settings) -> list[str]:
    """What is worth knowing of a given model that has no problem."""
    return differences(read_model(settings.run.model)) if settings.run.model else []


def points_from(settings: Settings) -> str:
    """What sets the six points: `networks` or `masks`."""
    return "networks" if settings.localize.method == "learned" else "masks"


def opening_words(settings: Settings, scans: Sequence[ScanRow]) -> str:
    """What a run is about to work on, in a sentence."""
    patients = len({row.patient_id for row in scans})
    if settings.cohort.sheet:
        cohort = f"{settings.cohort.sheet}, {len(scans)} scan(s) of {patients} patient(s)"
    else:
        cohort = (
            f"the demo, {len(scans)} scan(s) of {patients} phantoms, as no cohort.sheet is set (your own scans: "
            "--configfile mine.yaml)"
        )
    model = f"graded by the model {settings.run.model}" if settings.run.model else "a model is trained on them"
    return f"{cohort}; {model}; results in {settings.run.results}"


def methods_of(settings: Settings, scans: Iterable[ScanRow]) -> list[str]:
    """The methods that grade: of those asked for. Centroids alone have no six points; a given model may lack some."""
    wanted = settings.chosen_methods
    methods = [name for name in methods_in(settings.run.model) if name in wanted] if settings.run.model else wanted
    points = settings.localize.method != "provided" or all(row.mask for row in scans)
    return [method for method in methods if points or "points" not in METHODS[method].needs]


def _paths(settings: Settings) -> Iterator[str]:
    """Paths that would be taken for something else."""
    for key in PATHS:
        section, name = key.split(".")
        path = getattr(getattr(settings, section), name)
        if path.startswith("~"):
            yield f"{key} = {path}: ~ is not read as your home here; write the whole path"
        if found := PATTERN.search(path):
            yield f"{key} = {path}: Snakemake takes {found[0]} for a pattern; rename the folder, or give a link to it"
        if not path.isprintable():
            yield f"{key} = {path!r}: it contains a line break or another control character; rename it"
    for key, path in (("results", settings.run.results), ("logs", settings.run.log_folder)):
        if Path(path).resolve() == Path("/"):
            yield f"run.{key} = {path}: that is the root of the file system; name a folder for this run"
    if settings.run.model and Path(settings.run.results).resolve() in _own_folders(settings.run.model):
        yield (
            f"run.results = {settings.run.results}: it is the model's own folder, whose grades this run would replace; "
            "name another"
        )


def _own_folders(model: str) -> list[Path]:
    """The folder of a model, and of one that lies frozen in its run's results also these."""
    folder = Path(model).resolve()
    return [folder, *([folder.parent] if is_frozen(model) and (folder.parent / "manifest/freeze").is_dir() else [])]


def _shapes(settings: Settings) -> Iterator[str]:
    for problem in shape_problems(settings.dae.model, settings.crop.slices, settings.crop.size):
        yield f"config: {problem}"
    yield from _bodies(settings)


def _bodies(settings: Settings) -> Iterator[str]:
    """A network that is to see the bodies of patches that have none."""
    seen = {"supcon": settings.supcon.model.bodies}
    if settings.supervised.model.network == "seresnet":
        seen["supervised"] = settings.supervised.model.bodies
    for method, bodies in seen.items():
        if method in settings.chosen_methods and bodies != "none" and not settings.patches.bodies:
            yield f"config: {method}.model.bodies is {bodies}, but patches.bodies is false; set it, or `none`"


def _model(settings: Settings) -> Iterator[str]:
    if not settings.run.model:
        return
    try:
        read_model(settings.run.model)
    except ModelFileError:
        return  # `settled` reports it
    yield from model_problems(settings.run.model, methods_in(settings.run.model))


def _weights(settings: Settings) -> Iterator[str]:
    folder = settings.localize.weights
    trained_here = Path(settings.run.results, "localizer").resolve() == Path(folder).resolve()
    if settings.localize.method == "learned" and folder and not trained_here:
        for name in NETWORKS:
            if not Path(folder, name).is_file():
                yield f"localize.weights = {folder}: {name} is not in it; name the folder of a finished training"


def _corrections(settings: Settings, scans: Iterable[ScanRow]) -> tuple[list[dict[str, str]], list[str]]:
    """Hand-made corrections, and what is wrong with them, such as those for scans that are not there."""
    path = settings.localize.overrides
    try:
        rows = delimited_rows(path, None, ["scan_id"], "localize.overrides") if path else []
    except SheetError as error:
        return [], [str(error)]
    unknown = sorted({row["scan_id"] for row in rows} - {row.scan_id for row in scans})
    return rows, [
        f"{path}: scan {scan!r} is not in the cohort; correct its scan_id or remove its rows" for scan in unknown
    ]


def _marks(settings: Settings, scans: Iterable[ScanRow]) -> tuple[dict[str, QcMark], list[str]]:
    """Marks of quality control by scan, and what is wrong with their table."""
    try:
        return read_marks(settings.cohort.qc, {row.scan_id for row in scans}), []
    except SheetError as error:
        return {}, [str(error)]
