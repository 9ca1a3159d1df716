"""Fuzz by hypothesis, 3,900 tries, always the same: whatever comes in, a reason or one clear error goes out.

Sample sheets 500, label tables 500, VerSe JSON 1,000, zips 200 and 500, DICOM headers 1,000 (index), 200 (conversion).
"""

import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.series import body_hu, make_slice, positions
from vertegrade.annotations.verse import read_centroids
from vertegrade.cohort.labels import LabelError, read_label_table
from vertegrade.cohort.sheet import COLUMNS, ScanRow, SheetError, read_sheet
from vertegrade.ct.convert import convert_scan
from vertegrade.index.folder import IndexingError, write_index
from vertegrade.index.headers import dicom_header, read_zips
from vertegrade.reasons import REASONS, Refused
from vertegrade.settings.ct import CtSettings


def tries(count: int) -> Callable:
    """So many tries, always the same, however slow the machine."""
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=slow)


TEXT = st.text(max_size=12)
LIKELY = ["a", "007", "p1", "x y", "1.2", "L1", "T13", "28", "0", "3", "x", "train", '"']
CELLS = TEXT | st.sampled_from(LIKELY)
SEPARATOR = st.sampled_from([",", ";", "\t"])
NEWLINE = st.sampled_from(["\n", "\r\n", "\r", "\n\n"])


@st.composite
def tables(draw: st.DrawFn, columns: list[str]) -> bytes:
    """A table such as people write, and then worse: columns dropped or doubled, cells of anything, bytes exchanged."""
    names = draw(st.lists(st.sampled_from([*columns, "other"]), max_size=len(columns) + 2))
    names = draw(st.sampled_from([names, columns, columns[:4]]))
    rows = draw(st.lists(st.lists(CELLS, min_size=0, max_size=len(names) + 1), max_size=6))
    separator, newline = draw(SEPARATOR), draw(NEWLINE)
    text = newline.join(separator.join(row) for row in [names, *rows]) + draw(st.sampled_from(["", newline]))
    data = bytearray((draw(st.sampled_from(["", "\ufeff"])) + text).encode("utf-8", "surrogatepass"))
    for place in draw(st.lists(st.integers(0, max(len(data) - 1, 0)), max_size=3)) if data else []:
        data[place] = draw(st.integers(0, 255))
    return bytes(data)


@tries(500)
@given(data=tables(COLUMNS))
def test_sample_sheets(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(data)
    try:
        rows = read_sheet(path)
    except SheetError:
        return
    assert all(row.scan_id.isascii() and row.path.isprintable() for row in rows)
    assert len({row.scan_id for row in rows}) == len(rows) > 0


@tries(500)
@given(data=tables(["patient_id", "scan_id", "vertebra", "genant_grade", "shape", "split"]))
def test_label_tables(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(data)
    try:
        labels = read_label_table(path)
    except LabelError:
        return
    assert labels.table["genant_grade"].isin([0, 1, 2, 3]).equals(labels.table["usable"])


NUMBERS = st.one_of(st.integers(-(10**30), 10**30), st.floats(), st.none(), st.booleans(), TEXT)
LABEL = NUMBERS | st.integers(1, 28)
POINTS = st.fixed_dictionaries({}, optional={"label": LABEL, "X": NUMBERS, "Y": NUMBERS, "Z": NUMBERS})
HEADS = st.fixed_dictionaries(
    {"direction": st.sampled_from([["P", "I", "R"], ["R", "A", "S"], ["P", "P", "R"], "PIR", None])},
    optional={"format": st.sampled_from(["POI", "docker", 1]), "shape": st.lists(NUMBERS, max_size=4), "zoom": NUMBERS},
)
ANYTHING = st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))
POI = st.dictionaries(st.sampled_from(["L1", "20", "S1", "x"]), st.dictionaries(st.sampled_from(["50", "x"]), ANYTHING))


FILES = ANYTHING | st.tuples(HEADS, POINTS, POINTS).map(list) | st.tuples(HEADS, POI | ANYTHING).map(list)


@tries(1000)
@given(content=FILES)
def test_verse_json(content: object, tmp_path: Path) -> None:
    path = tmp_path / "x_ctd.json"
    path.write_text(json.dumps(content))
    try:
        centres = read_centroids(path, (20, 30, 40), np.diag([1.0, 1, 2, 1]))
    except Refused:  # with a known reason, or it could not be made
        return
    assert all(np.isfinite(centre).all() for centre in centres.values())


def slice_bytes() -> bytes:
    buffer = BytesIO()
    dataset = make_slice(body_hu(1)[0], positions(1)[0])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"  # not a random one
    dataset.save_as(buffer)
    return buffer.getvalue()


SLICE = slice_bytes()
PARTS = ["..", ".", "", "a", "/", "C:", "\\", "ü", "\n", "\0", "'", ";", "x" * 200, "a.dcm", ".zip"]
NAMES = st.lists(st.sampled_from(PARTS))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@tries(200)
@given(members=st.lists(st.tuples(NAMES.map("/".join), st.sampled_from([SLICE, b"", b"x"])), max_size=14))
def test_member_names_of_zips(members: list[tuple[str, bytes]], tmp_path_factory: pytest.TempPathFactory) -> None:
    top = tmp_path_factory.mktemp("zip")
    (top / "in").mkdir()
    with zipfile.ZipFile(top / "in/a.zip", "w") as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data)
    with suppress(IndexingError):  # no series of enough slices
        write_index(top / "in", top / "scans.csv", top / "scans.key.tsv", replace=False, jobs=1)
    state = convert_scan(ScanRow("s", "p", str(top / "in/a.zip")), top, CtSettings())
    assert state["reason"] in REASONS or state["state"] == "done"
    assert state["reason"] != "unexpected_error"
    allowed = {"in", "scans.csv", "scans.key.tsv", "scans.index.json", "s_ct.nii.gz", "s_ct.json"}
    assert {entry.name for entry in top.iterdir()} <= allowed


def packed() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("ä.dcm"), SLICE)
        archive.writestr(zipfile.ZipInfo("b.txt"), b"x")
    return buffer.getvalue()


ZIP = packed()


@tries(500)
@given(places=st.lists(st.tuples(st.integers(0, len(ZIP) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_zips(places: list[tuple[int, int]], tmp_path: Path) -> None:
    data = bytearray(ZIP)
    for place, value in places:
        data[-1 - place] = value  # small numbers are the commonest, and the directory lies at the end
    (tmp_path / "a.zip").write_bytes(data)
    (answer,) = read_zips([str(tmp_path / "a.zip")], 100, 1)
    assert answer in REASONS if isinstance(answer, str) else len(answer) <= 2


def test_a_zip_whose_name_is_not_the_utf_8_that_it_says(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(ZIP.replace("ä".encode(), b"\xff\xff"))
    assert list(read_zips([str(tmp_path / "a.zip")], 100, 1)) == ["broken_archive"]


@st.composite
def torn_slices(draw: st.DrawFn) -> bytes:
    """A CT slice with bytes exchanged, put in or taken out, most of them in its header."""
    data = bytearray(SLICE)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data) - 1) | st.integers(0, min(900, len(data) - 1)))
        kind = draw(st.sampled_from(["change", "insert", "remove", "cut"]))
        if kind == "change":
            data[place] = draw(st.integers(0, 255))
        elif kind == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=8))
        else:
            del data[place : place + draw(st.integers(1, 8)) if kind == "remove" else len(data)]
            if not data:
                break
    return bytes(data)


@tries(1000)
@given(data=torn_slices())
def test_dicom_headers_of_the_index(data: bytes) -> None:
    header = dicom_header(len(data), lambda: BytesIO(data))
    assert header.kind in ("ct", "localizer", "not_ct", "dicomdir", "not_dicom", "empty", "unreadable")
    assert (header.slices > 0) == (header.kind == "ct")


@tries(200)
@given(torn=st.lists(torn_slices(), min_size=1, max_size=3))
def test_dicom_headers_of_conversion(torn: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    top = tmp_path_factory.mktemp("dicom")
    (top / "in").mkdir()
    for number, place in enumerate(positions(12)):
        make_slice(body_hu(12)[number], place).save_as(top / f"in/{number}.dcm")
    for number, data in enumerate(torn):
        (top / f"in/{number}.dcm").write_bytes(data)
    state = convert_scan(ScanRow("s", "p", str(top / "in")), top, CtSettings())
    assert state["state"] == "done" or REASONS[state["reason"]].state == state["state"]
    assert state["reason"] != "unexpected_error", state["message"]
    assert not [word for word in ("PLANTED", "Planted", "19010203") if word in str(state)]
    assert (top / "s_ct.nii.gz").exists() == (state["state"] == "done")
