"""Regions of the spine, which every breakdown by level rests on."""

from vertegrade.level_texts import parse_level, region
from vertegrade.levels import LABEL_OF


def test_regions_end_where_they_should() -> None:
    names = ["C7", "T1", "T10", "T11", "T12", "T13", "L1", "L2", "L3", "L6"]
    expected = ["cervical", *["thoracic"] * 2, *["thoracolumbar"] * 5, *["lumbar"] * 2]
    assert [region(LABEL_OF[name]) for name in names] == expected


def test_levels_are_read_as_people_write_them() -> None:
    same = ["19", "19.0", "T12", "t12", " Th12 ", "TH12", "D12"]
    assert [parse_level(text) for text in same] == [19] * len(same)
    assert [parse_level(text) for text in ("", "0", "29", "19.5", "D", "T", "DT12", "nan", "L7")] == [None] * 9
