"""Which scans there are; read while the Snakefile is parsed, so no numpy."""

from pathlib import Path

from vertegrade.cohort.sheet import IDENTIFIER, ScanRow, shard_of
from vertegrade.metastasis.classes import SPINE_METS
from vertegrade.settings.metastasis import MetastasisSettings

CLINICAL = f"{SPINE_METS}_Clinical.xlsx"


class LayoutError(ValueError):
    """A folder that is not laid out as the public data set; the message says what is missing."""


def metastasis_rows(settings: MetastasisSettings, results: str) -> dict[str, list[ScanRow]]:
    """Rows of the scans by shard. `path` is the folder of a case, with its CT series and its segmentation.

    Phantoms are mp0001, mp0002, ...; a case of the public layout has the name of its folder. One scan per patient.
    LayoutError where the folder has no cases, or one with a name that no path may have.
    """
    if settings.folder:
        cases = {case.name: str(case) for case in cases_of(Path(settings.folder))}
    else:
        ids = [f"mp{number:04d}" for number in range(1, settings.phantom.patients + 1)]
        folder = f"{results}/metastasis/phantom"
        cases = {case: f"{folder}/{_shard(case, settings)}/cases/{SPINE_METS}/{case}" for case in ids}
    rows: dict[str, list[ScanRow]] = {}
    for case, path in cases.items():
        rows.setdefault(_shard(case, settings), []).append(ScanRow(f"{case}-1", case, path))
    return dict(sorted(rows.items()))


def cases_of(folder: Path) -> list[Path]:
    """The folders of the cases below `folder`."""
    place = folder / SPINE_METS
    cases = sorted(path for path in place.glob("*") if path.is_dir() and not path.name.startswith("."))
    if not cases:
        raise LayoutError(f"metastasis.folder: {place} has no folders of cases; give the folder that contains them")
    strange = [case.name for case in cases if not IDENTIFIER.fullmatch(case.name)]
    if strange:
        raise LayoutError(
            f"metastasis.folder: {place} has folders with other names than letters, digits and hyphens: "
            f"{', '.join(map(repr, strange[:5]))}; rename them, or move them away"
        )
    if not (folder / CLINICAL).is_file():
        raise LayoutError(f"metastasis.folder: {folder / CLINICAL} is missing; it comes apart from the images")
    return cases


def _shard(case: str, settings: MetastasisSettings) -> str:
    return str(shard_of(f"{case}-1", settings.shards))
