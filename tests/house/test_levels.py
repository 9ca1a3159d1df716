"""Regions of the spine, which every breakdown by level rests on."""

from vertegrade.levels import LABELS, region


def test_regions_end_where_they_should() -> None:
    names = ["C7", "T1", "T10", "T11", "T12", "T13", "L1", "L2", "L3", "L6"]
    expected = ["cervical", *["thoracic"] * 2, *["thoracolumbar"] * 5, *["lumbar"] * 2]
    assert [region(LABELS[name]) for name in names] == expected
