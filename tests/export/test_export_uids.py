"""The same content has the same UIDs, and any other has others: an archive holds two of one UID for the same."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pydicom
import pytest

from helpers.exported import Exported
from vertegrade.export.scan import Missing

NAMES = ("SOPInstanceUID", "SeriesInstanceUID")


def uids(file: Path) -> tuple[str, ...]:
    dataset = pydicom.dcmread(file)
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    return tuple(str(dataset[name].value) for name in NAMES)


def exported_kinds(exported: Exported, folder: Path, *kinds: str, **changes: object) -> Path:
    wanted = replace(exported.wanted, kinds=frozenset(kinds))
    assert exported.again(folder, wanted=wanted, **changes) == Missing()
    return folder


def test_a_report_that_refers_to_a_segmentation_is_another(exported: Exported, tmp_path: Path) -> None:
    alone = uids(exported_kinds(exported, tmp_path / "alone", "sr") / "sr.dcm")
    assert set(alone).isdisjoint(uids(exported.folder / "sr.dcm"))
    assert alone == uids(exported_kinds(exported, tmp_path / "again", "sr", "markups") / "sr.dcm")


def test_another_picture_at_the_same_place_is_another(exported: Exported, tmp_path: Path) -> None:
    """The series too: in one series both would stand beside each other, and a viewer would show either."""
    strips = replace(exported.strips, images=exported.strips.images + 100)
    other = exported_kinds(exported, tmp_path / "other", "capture", strips=strips)
    assert set(uids(other / "synthetic-L1.dcm")).isdisjoint(uids(exported.folder / "synthetic-L1.dcm"))
    both = [uids(other / name)[1] for name in ("summary.dcm", "synthetic-L1.dcm")]
    assert both[0] == both[1]
    assert uids(other / "summary.dcm")[0] != uids(other / "synthetic-L1.dcm")[0]


@pytest.mark.parametrize("change", [{"method": "pca"}, {"model": "other"}])
def test_another_maker_is_another(exported: Exported, tmp_path: Path, change: dict[str, str]) -> None:
    maker = replace(exported.maker, **change)
    scan = exported.scan
    if "method" in change:
        vertebrae = [v | {"methods": {"pca": v["methods"]["dae"]}} for v in scan["vertebrae"]]
        scan = scan | {"vertebrae": vertebrae}
    other = exported_kinds(exported, tmp_path / "other", "sr", maker=maker, scan=scan)
    same = exported_kinds(exported, tmp_path / "same", "sr")
    assert set(uids(other / "sr.dcm")).isdisjoint(uids(same / "sr.dcm"))


def test_grades_of_another_time_are_others(exported: Exported, tmp_path: Path) -> None:
    maker = replace(exported.maker, made=exported.maker.made + timedelta(days=1))
    other = exported_kinds(exported, tmp_path / "other", "seg", maker=maker)
    assert set(uids(other / "seg.dcm")).isdisjoint(uids(exported.folder / "seg.dcm"))


def test_a_report_refers_to_its_segmentation(exported: Exported) -> None:
    report = (exported.folder / "sr.dcm").read_bytes()
    for uid in uids(exported.folder / "seg.dcm"):
        assert uid.encode() in report
