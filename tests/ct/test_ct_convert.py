"""What conversion leaves behind: the row, the sidecar, and nothing of the person."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from pydicom.dataset import Dataset

from helpers.series import SERIES_UID, body_hu, convert, write_series
from vertegrade.ct import convert as convert_module
from vertegrade.ct.headers import contrast_given
from vertegrade.reasons import REASONS, Refused
from vertegrade.tables import SCANS, check_table

PHI = [b"PLANTED-ID", b"Planted", b"19010203", SERIES_UID.encode(), b"agent of note"]


def test_rows_keep_the_contract_of_the_table(tmp_path: Path) -> None:
    rows = [
        convert(write_series(tmp_path / "in", body_hu()), tmp_path),
        convert(tmp_path / "none", tmp_path) | {"scan_id": "scan-2"},
    ]
    table = check_table(pd.DataFrame(rows), SCANS, "scans")
    assert table["state"].tolist() == ["done", "failed"]
    assert table["kernel"].tolist() == ["Br38f/3", ""]


def test_no_output_carries_the_person(tmp_path: Path) -> None:
    def contrast(dataset: Dataset, index: int) -> None:
        dataset.ContrastBolusAgent = "agent of note"

    row = convert(write_series(tmp_path / "in", body_hu(), change=contrast), tmp_path / "out")
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == ["scan-1_ct.json", "scan-1_ct.nii.gz"]
    data = files[0].read_bytes() + gzip.decompress(files[1].read_bytes()) + json.dumps(row).encode()
    assert not [text for text in PHI if text in data]
    assert json.loads(files[0].read_text())["ContrastBolusAgent"] is True


@pytest.mark.parametrize(("agent", "given"), [(None, None), ("", None), ("no contrast", False), ("Agent", True)])
def test_the_sidecar_says_whether_contrast_was_given_or_that_it_is_unknown(
    agent: str | None, given: bool | None, tmp_path: Path
) -> None:
    """Anonymisers blank the tag, so an empty one is no `no`."""

    def change(dataset: Dataset, index: int) -> None:
        if agent is not None:
            dataset.ContrastBolusAgent = agent

    row = convert(write_series(tmp_path / "in", body_hu(), change=change), tmp_path)
    assert json.loads((tmp_path / "scan-1_ct.json").read_text())["ContrastBolusAgent"] is given
    assert row["flags"] == ("contrast" if given else "")


@pytest.mark.parametrize(
    ("frames", "given"),
    [
        ([{"ContrastBolusAgentAdministered": "NO"}, {"ContrastBolusAgentAdministered": "YES"}], True),
        ([{"ContrastBolusAgentAdministered": "NO", "ContrastBolusAgentSequence": ["agent"]}], False),
        ([{"ContrastBolusAgentSequence": ["agent"]}], True),
        ([{"ContrastBolusAgentSequence": []}, {}], None),
    ],
)
def test_enhanced_ct_names_contrast_otherwise(frames: list[dict[str, Any]], given: bool | None) -> None:
    assert contrast_given([SimpleNamespace(header=header) for header in frames]) is given  # type: ignore[misc]


def test_the_sidecar_describes_the_volume(tmp_path: Path) -> None:
    row = convert(write_series(tmp_path / "in", body_hu()), tmp_path)
    sidecar = json.loads((tmp_path / "scan-1_ct.json").read_text())
    assert (sidecar["shape"], sidecar["spacing_mm"]) == ([8, 10, 12], [0.9, 0.7, 1.5])
    assert (sidecar["source_shape"], sidecar["source_axcodes"]) == ([8, 10, 12], "LPS")
    assert sidecar["image_sha256"] == row["image_sha256"]
    assert (sidecar["Manufacturer"], sidecar["KVP"]) == ("Maker", 120.0)


def test_conversion_gives_the_same_bytes_again(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    for name in ("a", "b"):
        convert(folder, tmp_path / name)
    for name in ("scan-1_ct.json", "scan-1_ct.nii.gz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_unexpected_error_becomes_a_row_without_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("PLANTED-ID")

    monkeypatch.setattr(convert_module, "check_volume", fail)
    row = convert(write_series(tmp_path / "in", body_hu()), tmp_path)
    assert (row["state"], row["reason"]) == ("failed", "unexpected_error")
    assert "KeyError at test_ct_convert.py:" in row["message"]
    assert "PLANTED" not in row["message"]


def test_a_failure_while_writing_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(convert_module, "write_json", fail)
    with pytest.raises(OSError, match="disk full"):  # the disk's fault, not the scan's
        convert(write_series(tmp_path / "in", body_hu()), tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_running_out_of_memory_is_not_the_scans_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(convert_module, "check_volume", fail)
    with pytest.raises(MemoryError):
        convert(write_series(tmp_path / "in", body_hu()), tmp_path)


@pytest.mark.parametrize("planted", [b"orig!nal", b"ORIGINAL"], ids=["illegal code string", "unknown character set"])
def test_warnings_that_quote_the_header_do_not_reach_the_log(
    planted: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    def latin(dataset: Dataset, index: int) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 100"

    folder = write_series(tmp_path / "in", body_hu(), change=latin)
    for file in folder.iterdir():
        data = file.read_bytes().replace(b"ORIGINAL", planted)
        file.write_bytes(data.replace(b"ISO_IR 100", b"PLANTED-ID") if planted == b"ORIGINAL" else data)
    assert convert(folder, tmp_path)["state"] == "done"
    assert not caplog.records
    assert not list(recwarn)


def test_a_refusal_needs_a_known_reason() -> None:
    with pytest.raises(KeyError):
        Refused("no_such_reason", "text")
    assert {about.state for about in REASONS.values()} == {"excluded", "failed"}
