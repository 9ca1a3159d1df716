"""pydicom's own test files, many of them odd or broken: never a crash, never an unexpected error."""

from collections import Counter
from pathlib import Path

import numpy as np
import pydicom

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.archive import SourceFile, open_source
from vertegrade.ct.dicom import quiet_reading
from vertegrade.ct.shard import convert_shard
from vertegrade.ct.slices import read_header
from vertegrade.reasons import Refused
from vertegrade.settings.ct import CtSettings

BUNDLED = Path(pydicom.data.__file__).parent / "test_files"
FILES = sorted(file for file in BUNDLED.rglob("*") if file.is_file())


def test_every_file_and_folder_gets_a_reason(tmp_path: Path) -> None:
    paths = [*FILES, BUNDLED, *(folder for folder in BUNDLED.rglob("*") if folder.is_dir())]
    for number, file in enumerate(FILES):
        alone = tmp_path / "alone" / str(number)
        alone.mkdir(parents=True)
        (alone / file.name).symlink_to(file)
        paths.append(alone)
    (tmp_path / "out").mkdir()
    rows = [ScanRow(f"s-{number}", "p", str(path)) for number, path in enumerate(paths)]
    states = list(convert_shard(rows, tmp_path / "out", CtSettings()))
    assert len(states) == len(paths) > 200
    bad = [state for state in states if state["reason"] in ("unexpected_error", "conversion_crashed")]
    assert not bad
    assert len(Counter(state["reason"] for state in states)) >= 5


def test_every_image_is_decoded_or_refused() -> None:
    decoded, refused = 0, Counter[str]()
    with quiet_reading(), open_source(BUNDLED, 10_000) as files:
        for file in files:
            try:
                decoded += _decoded(file)
            except Refused as refusal:
                refused[refusal.reason] += 1
    assert decoded >= 40
    assert set(refused) <= {"broken_file", "missing_pixels", "missing_tag", "bad_tag", "bad_pixels", "no_decoder"}


def _decoded(file: SourceFile) -> int:
    item = read_header(file)
    if item is None:
        return 0
    stored = item.stored()
    assert stored.ndim == 2
    assert np.issubdtype(stored.dtype, np.number)
    return 1
