"""Virtual fractures: the truth is what was done, discs and other vertebrae stay as they are, shams lose nothing."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from helpers.landmarks import measure
from helpers.phantom_scan import scan
from vertegrade.arrays import Floats
from vertegrade.ct.volume import Volume, mm_to_voxel, read_volume, write_volume
from vertegrade.reasons import Refused
from vertegrade.spine.heights import column_heights, genant_grade
from vertegrade.tables import HEIGHTS, POINTS, points_of
from vertegrade.virtual_fractures.body import RealBody, real_bodies
from vertegrade.virtual_fractures.draw import draw_changes
from vertegrade.virtual_fractures.make import virtual_scan
from vertegrade.virtual_fractures.scan import Changes, changed_scan
from vertegrade.virtual_fractures.spine import Link, posed, sources
from vertegrade.virtual_fractures.truth import found_truth, intact_labels, truth_table, virtual_labels

HEIGHT_COLUMNS = [f"height_{column}_mm" for column in HEIGHTS]


def bodies() -> list[RealBody]:
    return real_bodies(scan()[1])


def changes(seed: int = 1) -> Changes:
    found = bodies()
    return draw_changes(np.random.default_rng(seed), found, {body.label for body in found}, 1.0)


def chain(seed: int = 1) -> list[Link]:
    made = changes(seed)
    return posed(bodies(), made.collapses, made.jiggles, made.regained)


def world(link: Link, points: Floats) -> Floats:
    moved: Floats = points @ link.pose[:3, :3].T + link.pose[:3, 3]
    return moved


def new_points(link: Link) -> Floats:
    ends = link.body.ends if link.collapse is None else link.collapse.new_ends()
    return world(link, link.body.points(ends))


def test_a_body_has_the_heights_of_its_points() -> None:
    landmarks = scan()[1].set_index("vertebra")
    for body in bodies():
        given = column_heights(points_of(landmarks.loc[[body.label]]))[0]
        assert body.heights == pytest.approx(given, abs=0.15)  # the points' columns may lean a little


@pytest.mark.parametrize("seed", range(4))
def test_a_collapse_loses_what_it_says_where_its_shape_says(seed: int) -> None:
    for collapse in changes(seed).collapses.values():
        ends = collapse.new_ends()
        loss = 1 - (ends[0] - ends[1]) / collapse.body.heights
        assert loss.max() == pytest.approx(collapse.fracture.loss, abs=0.005)
        if collapse.fracture.loss:
            most = {"wedge": 0, "biconcave": 1}.get(collapse.fracture.shape, int(loss.argmax()))
            assert loss.argmax() == most
        else:
            assert np.abs(loss).max() == 0


@pytest.mark.parametrize("seed", range(8))
def test_true_points_come_from_the_points_before(seed: int) -> None:
    for link in chain(seed):
        before = link.body.points(link.body.ends) @ link.body.pose[:3, :3].T + link.body.pose[:3, 3]
        inward = np.where(np.arange(6) % 2 == 0, -0.05, 0.05)[:, None] * link.pose[:3, 2]  # of the endplates themselves
        came, _ = sources(chain(seed), (new_points(link) + inward).astype(np.float32))
        aside = (came - before) @ link.body.pose[:3, :3]
        assert np.abs(aside[:, 2]).max() < 0.4, link.body.label
        assert np.abs(aside[:, :2]).max() < 4.5  # a broken wall bulges


def test_without_changes_nothing_moves() -> None:
    found = bodies()
    places = np.concatenate([body.pose[:3, 3] + np.random.default_rng(0).normal(0, 25, (200, 3)) for body in found])
    came, dense = sources(posed(found, {}, {}, 0.5), places.astype(np.float32))
    assert np.abs(came - places).max() < 1e-3
    assert (dense == 1).all()


def test_other_vertebrae_are_moved_as_they_are_and_discs_keep_their_height() -> None:
    links = chain()
    for link in links:
        if link.collapse is None:
            inside = link.body.points(0.9 * link.body.ends)
            came, dense = sources(links, world(link, inside).astype(np.float32))
            assert np.linalg.norm(came[0] - came[5]) == pytest.approx(np.linalg.norm(inside[0] - inside[5]), abs=0.05)
            assert (dense == 1).all()
    for lower, upper in pairwise(links):
        gaps = [
            np.linalg.norm(top[[0, 4]].mean(axis=0) - bottom[[1, 5]].mean(axis=0))
            for top, bottom in (
                (new_points(lower), new_points(upper)),
                (
                    points_of(scan()[1].set_index("vertebra").loc[[lower.body.label]])[0],
                    points_of(scan()[1].set_index("vertebra").loc[[upper.body.label]])[0],
                ),
            )
        ]
        assert gaps[0] == pytest.approx(gaps[1], abs=2.6)  # a jiggle of either vertebra, and the disc's tilt


def test_squeezed_bone_keeps_its_mass() -> None:
    links = chain(2)
    crushed = max((link for link in links if link.collapse), key=lambda link: link.collapse.fracture.loss)  # type: ignore[union-attr]
    assert crushed.collapse is not None
    body = crushed.body
    heights = np.linspace(*crushed.collapse.new_ends()[:, 1], 400)[:, None] * [0, 0, 1] + [0, body.columns[1], 0]
    came, dense = sources(links, world(crushed, heights).astype(np.float32))
    step = np.abs(np.diff((came @ body.pose[:3, 2]), axis=0)) / np.abs(np.diff(heights[:, 2]))
    assert step.max() > 1.1
    whole = 1 + (dense - 1) / crushed.collapse.density
    assert whole[1:].mean() == pytest.approx(step.mean(), rel=0.1)


def test_a_scan_shows_its_truth_and_is_made_again_to_the_bit() -> None:
    volume, landmarks = scan()
    intact = measure(landmarks).assign(grade=0)  # whatever the phantom's own fractures
    made, truth = virtual_scan(volume, landmarks, intact, "a-virtual-1", 1.0, 7)
    again, _ = virtual_scan(volume, landmarks, intact, "a-virtual-1", 1.0, 7)
    assert made.sha256 == again.sha256
    assert set(truth["kind"]) == {"fracture", "sham", "untouched"}
    old, new = (_centre_hu(v, table) for v, table in ((volume, landmarks), (made, truth)))
    still = truth.set_index("vertebra")["kind"] == "untouched"
    assert (old - new)[still].abs().median() < 25


def _centre_hu(volume: Volume, table: pd.DataFrame) -> "pd.Series[float]":
    """Mean HU of a small cube at the centre of each body."""
    voxels = np.rint(mm_to_voxel(volume.affine, points_of(table).mean(axis=1))).astype(int)
    cubes = [volume.hu[i - 2 : i + 3, j - 2 : j + 3, k - 1 : k + 2].mean() for i, j, k in voxels]
    return pd.Series(cubes, index=table["vertebra"].to_numpy())


def test_endplates_are_where_the_truth_says() -> None:
    """Along the middle column of a collapsed body, bone ends at the true points in the image too."""
    volume, _ = scan()
    made, links = changed_scan(volume, bodies(), changes(3))
    for link in links:
        if link.collapse is None or link.collapse.fracture.loss < 0.2:
            continue
        top, bottom = new_points(link)[2:4]
        axis = (top - bottom) / np.linalg.norm(top - bottom)
        outside = [made.hu[tuple(np.rint(mm_to_voxel(made.affine, p)).astype(int))] for p in (top + 3 * axis,)]
        inside = [made.hu[tuple(np.rint(mm_to_voxel(made.affine, p)).astype(int))] for p in (top - 0.7 * axis,)]
        assert np.mean(inside) > np.mean(outside), link.body.label


def test_truth_is_matched_by_place_whatever_the_label() -> None:
    links, landmarks = chain(), scan()[1]
    truth = truth_table(links, {body.label for body in bodies()} - {links[2].body.label}, "p", "s-virtual-1", "s")
    found = truth[["patient_id", "scan_id", "vertebra", *[c for c in landmarks.columns if c.endswith("_mm")]]].copy()
    found = found.assign(vertebra=found["vertebra"] - 1)  # every label one level too high
    lost = found.index[3]
    matched = found_truth(truth, found.drop(lost))
    assert matched.loc[lost, "found"] == -1
    assert (matched["found"].drop(lost) == truth["vertebra"].drop(lost) - 1).all()
    labels = virtual_labels(truth, found.drop(lost))
    assert len(labels) == len(truth) - 1
    assert labels.loc[~labels["usable"], "reason"].tolist() == ["deformed_before"]
    losses = truth["height_loss"].drop(lost)
    assert labels["genant_grade"].tolist() == [genant_grade(loss) for loss in losses]


def test_intact_vertebrae_are_those_measured_so() -> None:
    measurements = measure(scan()[1])
    labels = intact_labels(measurements)
    assert len(labels) == (measurements["grade"] == 0).sum() > 0
    assert (labels["genant_grade"] == 0).all()


def test_a_scan_in_which_nothing_can_collapse_is_refused() -> None:
    volume, landmarks = scan()
    with pytest.raises(Refused, match="nothing_to_collapse: scan s-virtual-1: no vertebra is measured as intact"):
        virtual_scan(volume, landmarks[:2], measure(landmarks[:2]), "s-virtual-1", 1.0, 7)


def test_a_file_says_that_it_is_virtual(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import nibabel as nib

    volume, _ = scan()
    write_volume(tmp_path / "a_ct.nii.gz", volume, "VIRTUAL FRACTURES, not a patient's own scan")
    assert bytes(nib.load(tmp_path / "a_ct.nii.gz").header["descrip"]).startswith(b"VIRTUAL FRACTURES")
    assert (read_volume(tmp_path / "a_ct.nii.gz").hu == volume.hu).all()


def test_points_are_in_the_order_of_the_tables() -> None:
    assert POINTS[:2] == ["anterior_superior", "anterior_inferior"]
    body = bodies()[0]
    points = body.points(body.ends)
    assert (points[0::2, 2] - points[1::2, 2]) == pytest.approx(body.heights)
