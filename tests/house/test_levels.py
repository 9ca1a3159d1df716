"""Regions of the spine, which every breakdown by level rests on."""

from vertegrade.level_texts import REGIONS, parse_level, region
from vertegrade.levels import LABEL_OF


def test_regions_end_where_they_should() -> None:
    ends = {"C1-C7": "C1 C7", "T1-T4": "T1 T4", "T5-T9": "T5 T9", "T10-L2": "T10 T12 T13 L1 L2", "L3-L6": "L3 L6"}
    assert list(ends) == list(REGIONS)
    for name, levels in ends.items():
        assert {region(LABEL_OF[level]) for level in levels.split()} == {name}


def test_levels_are_read_as_people_write_them() -> None:
    same = ["19", "19.0", "T12", "t12", " Th12 ", "TH12", "D12"]
    assert [parse_level(text) for text in same] == [19] * len(same)
    assert [parse_level(text) for text in ("", "0", "29", "19.5", "D", "T", "DT12", "nan", "L7")] == [None] * 9
