"""Folders that scans share with others, such as the dump of an archive: which new files there do not concern a job."""

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any


def of_other_series(paths: Iterable[str], params: Mapping[str, Any]) -> set[str]:
    """Those of some new files that are images of series which a job does not read.

    params: of the job. Where each of its `rows` in a folder names a `series`, other series that come into that folder
    do not count; a file that is damaged or does not name its series does.
    """
    wanted: dict[str, set[str]] = {}
    for row in params.get("rows", []):
        if row.get("path"):
            wanted.setdefault(os.path.normpath(row["path"]), set()).add(row.get("series", ""))
    wanted = {folder: series for folder, series in wanted.items() if "" not in series}
    found = set()
    for path in paths if wanted else []:
        series = [wanted[folder] for folder in map(str, Path(path).parents) if folder in wanted]
        if series and _series_of(path) not in set().union({""}, *series):
            found.add(path)
    return found


@cache
def _series_of(path: str) -> str:
    """Code of the series of an image, "" where the file does not say it or would stop the reading of a folder."""
    # These take long to import, and are needed only where a folder has new files.
    from vertegrade.ct.archive import file_source
    from vertegrade.ct.headers import series_code
    from vertegrade.ct.slices import read_header
    from vertegrade.reasons import Refused

    try:
        image = read_header(file_source(Path(path), path))
    except (OSError, Refused):
        return ""
    if image is None or not image.header.get("Modality") or not image.header.get("SeriesInstanceUID"):
        return ""
    return series_code(str(image.header["SeriesInstanceUID"]))
