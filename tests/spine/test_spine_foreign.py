"""Metal and cement make their own vertebra not evaluable, and no other: on drawn spines, and on real CT without any."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.landmarks import THORACOLUMBAR, landmarks, measure, normal_heights
from helpers.ramps import OBLIQUE, SETTINGS, ramp, table_of
from helpers.spines import normal_spine
from vertegrade.ct.volume import Volume
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.person import Patient, body_corners
from vertegrade.phantom.anatomy.render import render
from vertegrade.phantom.scanner.metal import MetalPart, draw_metal
from vertegrade.phantom.scanner.physics import acquire
from vertegrade.phantom.scanner.protocol import Protocol, draw_protocol, generator
from vertegrade.phantom.truth import body_table
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.spine.crop import crop_scan
from vertegrade.spine.foreign import holds_foreign, without_foreign
from vertegrade.tables import FOREIGN_MATERIAL, LANDMARKS, POINT_COLUMNS, check_table

SIDE_MM, PIXEL_MM = 110.0, 0.9


class Spine:
    """Four vertebrae of a healthy phantom, scanned with slices of so many mm and what is put into them."""

    def __init__(self, thickness_mm: float) -> None:
        settings = PhantomSettings(fractured_patients=0.0, subthreshold=0.0)
        self.patient: Patient = draw_patient("f1", settings, 5)
        self.levels = tuple(self.patient.levels[-6:-2])
        corners = np.concatenate([body_corners(v) for v in self.patient.vertebrae if v.label in self.levels])
        low, high = corners.min(axis=0), corners.max(axis=0)
        middle, side = (low + high) / 2, int(SIDE_MM / PIXEL_MM)
        self.protocol: Protocol = replace(
            draw_protocol("f1-1", self.patient, settings.acquisition, 5),
            levels=self.levels,
            pixel_mm=PIXEL_MM,
            slice_spacing_mm=thickness_mm,
            slice_thickness_mm=thickness_mm,
            fine_step_mm=1.0,
            shape=(side, side, int((high[2] - low[2] + 20) / thickness_mm)),
            origin_mm=(middle[0] - SIDE_MM / 2, middle[1] - SIDE_MM / 2 - 8, low[2] - 10),
            metal=(),
        )
        grid = self.protocol
        self.drawn = render(self.patient, grid.fine_origin_mm, grid.fine_shape, grid.fine_spacing_mm)[0]
        truth = body_table(self.patient, grid.origin_mm, grid.shape, grid.spacing_mm, "s1")
        truth = truth[truth["complete"] & truth["vertebra"].isin(self.levels)]
        rows = truth[[name for name in LANDMARKS.columns if name in truth]].assign(patient_id="p1", scan_id="s1")
        rows = rows.assign(confidence=1.0, source="test", evaluable=True, reason="")
        self.landmarks = check_table(rows[[c for c in LANDMARKS.columns if c in rows]], LANDMARKS, "test")

    def foreign(self, parts: tuple[MetalPart, ...], points: bool = True, highest_hu: int = 3071) -> list[int]:
        """Labels of the bodies in which foreign material is found; values end at highest_hu."""
        hu = acquire(self.drawn.copy(), replace(self.protocol, metal=parts), generator(5, "acquire"))
        table = self.landmarks if points else self.landmarks.assign(**dict.fromkeys(POINT_COLUMNS, np.nan))
        marked = without_foreign(table, Volume(np.minimum(hu, highest_hu), self.protocol.affine))
        assert set(marked.loc[~marked["evaluable"], "reason"]) <= {FOREIGN_MATERIAL}
        return marked.loc[~marked["evaluable"], "vertebra"].tolist()

    def drawn_metal(self, kind: str, hu: float) -> tuple[tuple[MetalPart, ...], tuple[int, ...]]:
        """The phantom's screws (in two levels) or cement (in one) of so many HU, and the levels that they are in."""
        for seed in range(100):
            random = np.random.default_rng(seed)
            parts = draw_metal(self.patient, self.levels[:3], random)
            count = {"cement": 3, "screws": 2 * 3}[kind]
            if len(parts) == count:
                hit = self.levels[:1] if kind == "cement" else self.levels[:2]
                return tuple(replace(part, hu=hu) for part in parts), hit
        raise AssertionError(kind)

    def ball(self, radius_mm: float, hu: float, aside: tuple[float, float, float] = (0, 0, 0)) -> tuple[MetalPart, ...]:
        """One ball in the second body, or aside (mm) of its middle."""
        at = tuple(self.patient.extent(self.levels[1], self.levels[1]).mean(axis=1) + aside)
        return (MetalPart(at, at, radius_mm, hu),)


spine = pytest.fixture(scope="module", params=[1.0, 2.5, 5.0])(lambda request: Spine(request.param))
thin = pytest.fixture(scope="module")(lambda: Spine(1.0))


@pytest.mark.parametrize(("kind", "hu"), [("screws", 2400.0), ("screws", 8000.0), ("cement", 1800.0)])
def test_screws_and_cement_make_their_own_vertebrae_not_evaluable(spine: Spine, kind: str, hu: float) -> None:
    parts, hit = spine.drawn_metal(kind, hu)  # field test A9
    assert spine.foreign(parts) == list(hit)
    assert spine.foreign(parts, points=False) == list(hit)


def test_healthy_bodies_are_evaluable(spine: Spine) -> None:
    assert spine.foreign(()) == []
    assert spine.foreign((), points=False) == []


def test_scans_that_end_at_12_bits_or_lower_show_metal_all_the_same(thin: Spine) -> None:
    parts, hit = thin.drawn_metal("screws", 8000.0)
    assert thin.foreign(parts, highest_hu=1700) == list(hit)


@pytest.mark.parametrize(
    ("hu", "radius_mm", "found"),
    [(2400.0, 3.0, True), (1800.0, 4.0, True), (1500.0, 4.0, True), (1100.0, 5.0, False), (1300.0, 2.5, False)],
)
def test_bone_islands_are_no_material_and_cement_is(thin: Spine, hu: float, radius_mm: float, found: bool) -> None:
    """Blastic lesions and bone islands reach 1,100 HU and more, but not so bright over such a volume."""
    assert thin.foreign(thin.ball(radius_mm, hu)) == ([thin.levels[1]] if found else [])


def test_vessels_beside_the_body_do_not_count_but_a_cage_at_its_endplate_does(thin: Spine) -> None:
    half = np.ptp(thin.patient.extent(thin.levels[1], thin.levels[1]), axis=1) / 2
    assert thin.foreign(thin.ball(8.0, 500.0, (0, half[1] + 8, 0))) == []  # aorta with contrast
    assert thin.foreign(thin.ball(1.5, 1600.0, (0, half[1], 0))) == []  # its calcified wall
    assert thin.foreign(thin.ball(6.0, 8000.0, (0, half[1] + 20, 0))) == []  # a device in front of the spine
    assert thin.levels[1] in thin.foreign(thin.ball(4.0, 8000.0, (0, 0, half[2] + 1)))


def test_a_body_with_material_is_no_reference_and_its_neighbours_are_measured_without_it() -> None:
    heights = {label: normal_heights(label) for label in THORACOLUMBAR}
    wrong = heights | {THORACOLUMBAR[5]: 0.6 * heights[THORACOLUMBAR[5]]}
    without, with_it = (landmarks(those).set_index("vertebra", drop=False) for those in (heights, wrong))
    for table in (without, with_it):
        table.loc[THORACOLUMBAR[5], ["evaluable", "reason"]] = [False, FOREIGN_MATERIAL]
    one, two = (measure(table.reset_index(drop=True)) for table in (without, with_it))
    assert two["reason"].tolist().count(FOREIGN_MATERIAL) == 1
    pd.testing.assert_frame_equal(one, two)


def test_crops_of_the_neighbours_stay_as_they_are() -> None:
    """The place of a body is right whatever is in it, so the centreline still runs through it."""
    centres, volume = normal_spine(scoliosis=25.0)[5:10], ramp((180, 280, 400), OBLIQUE)
    plain = crop_scan(volume, table_of(centres, 13), SETTINGS, 1.5)
    marked = crop_scan(volume, table_of(centres, 13, {15: FOREIGN_MATERIAL}), SETTINGS, 1.5)
    np.testing.assert_array_equal(marked[1], plain[1])
    assert marked[2]["reason"].tolist() == ["", "", FOREIGN_MATERIAL, "", ""]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_body_without_a_place_holds_nothing() -> None:
    assert not holds_foreign(ramp((20, 20, 20), np.eye(4)), (np.full(3, np.nan), np.eye(3), np.full(3, 9.0)))
