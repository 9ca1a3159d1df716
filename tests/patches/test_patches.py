"""3D patches: the scan's value at each place, as many mm in all directions, and each body with its level."""

from pathlib import Path

import numpy as np
import pytest

from helpers.landmarks import landmarks, normal_heights
from helpers.phantom_scan import scan
from helpers.ramps import OBLIQUE, ramp, table_of
from helpers.script_jobs import run_script
from helpers.spines import normal_spine
from vertegrade.arrays import read_array
from vertegrade.ct.volume import mm_to_voxel, write_volume
from vertegrade.patches.bodies import bodies_of, labelled
from vertegrade.patches.cut import cut_patches, patch_geometry
from vertegrade.settings import CropSettings
from vertegrade.settings.patches import PatchSettings
from vertegrade.spine.crop import crop_scan, head_to_feet
from vertegrade.spine.straighten import crop_to_mm
from vertegrade.tables import CROPS, LANDMARKS, POINT_COLUMNS, centres_of, points_of, read_table, write_table

CROP, SMALL = CropSettings(), PatchSettings(size=21, voxel_mm=2.0)
UPRIGHT = np.broadcast_to(np.array([[0.0, 0, 0], [0, -1, 0], [-1, 0, 0]]), (21, 3, 3))


def test_every_voxel_is_the_scan_s_value_at_its_place() -> None:
    volume, found = ramp((180, 280, 400), OBLIQUE), table_of(normal_spine(scoliosis=20.0)[5:10], 13)
    _, _, crops = crop_scan(volume, found, CROP, 1.0)
    patches, shares = cut_patches(volume, found, crops, CROP, SMALL)
    geometry = patch_geometry(CROP, SMALL)
    assert patches.shape == (5, 2, 21, 21, 21)
    assert shares == [1.0] * 5
    _, frames, _ = crop_scan(volume, found, CROP.model_copy(update={"size": 21, "pixel_mm": 2.0, "core_mm": 30}), 1.0)
    grid = np.stack(np.meshgrid(*[range(21)] * 3, indexing="ij"), axis=-1)
    for patch, frame in zip(patches, frames, strict=True):
        places = crop_to_mm(grid, frame, (21, 21, 21), geometry.pixel_mm, geometry.slice_spacing_mm)
        np.testing.assert_allclose(patch[0], mm_to_voxel(OBLIQUE, places) @ [5, -4, 3], atol=0.51)


def test_only_the_vertebrae_of_the_crops_have_patches_and_their_order() -> None:
    volume, found = ramp((180, 280, 400), OBLIQUE), table_of(normal_spine()[5:10], 13)
    _, _, crops = crop_scan(volume, found, CROP, 1.0)
    all_of_them, _ = cut_patches(volume, found, crops, CROP, SMALL)
    some, _ = cut_patches(volume, found, crops.iloc[[3, 1]], CROP, SMALL)
    np.testing.assert_array_equal(some, all_of_them[[3, 1]])
    without, _ = cut_patches(volume, found, crops, CROP, SMALL.model_copy(update={"bodies": False}))
    np.testing.assert_array_equal(without, all_of_them[:, :1])


def test_bodies_carry_their_levels_and_a_wedge_lacks_its_front() -> None:
    heights = {19: normal_heights(19), 20: normal_heights(20) * [0.5, 0.7, 1.0], 21: normal_heights(21)}
    found = landmarks(heights)
    bodies = bodies_of(found, np.stack([UPRIGHT] * 3))
    centres = centres_of(found)
    assert labelled(bodies, centres).tolist() == [19, 20, 21]
    assert labelled(bodies, (centres[:1] + centres[1:2]) / 2).tolist() == [0]  # the disc
    tops = points_of(found)[:, 0::2]  # of the anterior, middle and posterior column
    inwards = np.array([0.0, 0.0, 1.0])
    assert labelled(bodies, tops - inwards).tolist() == [[19] * 3, [20] * 3, [21] * 3]
    assert (labelled(bodies, tops + inwards) == 0).all()
    beside = centres + np.array([60.0, 0, 0])
    assert (labelled(bodies, beside) == 0).all()


def test_without_six_points_a_body_of_usual_size_stands_at_the_centre() -> None:
    found = landmarks({20: normal_heights(20)}).assign(vertebra=28)
    found[POINT_COLUMNS] = np.nan
    (body,) = bodies_of(found, np.stack([UPRIGHT]))
    assert body.heights == pytest.approx(normal_heights(19))  # T13 has no statistics of its own
    assert labelled([body], centres_of(found)).tolist() == [28]
    high = centres_of(found) + np.array([0, 0, 0.6 * normal_heights(19).max()])
    assert labelled([body], high).tolist() == [0]


def test_the_drawn_bodies_hold_the_bone_of_a_phantom() -> None:
    volume, found = scan()
    found = head_to_feet(found)
    _, _, crops = crop_scan(volume, found, CROP, 1.0)
    patches, _ = cut_patches(volume, found, crops[crops["evaluable"]], CROP, PatchSettings(size=32))
    hu, level = patches[:, 0], patches[:, 1]
    ventral = np.zeros(hu.shape, bool)
    ventral[..., :10] = True  # well before the bodies
    assert hu[level > 0].mean() > 100 + hu[(level == 0) & ventral].mean()
    for patch, label in zip(level, crops.loc[crops["evaluable"], "vertebra"], strict=True):
        assert patch[15:17, 15:17, 15:17].max() == label


def test_the_rule_writes_one_array_in_the_order_of_the_crops(tmp_path: Path) -> None:
    volume, found = scan()
    pixels, _, crops = crop_scan(volume, found, CROP, 1.0)
    scan_id = str(crops["scan_id"].iloc[0])
    (tmp_path / "ct").mkdir()
    write_volume(tmp_path / f"ct/{scan_id}_ct.nii.gz", volume)
    write_table(tmp_path / "l.parquet", found, LANDMARKS)
    write_table(tmp_path / "c.parquet", crops, CROPS)
    inputs = {"volumes": str(tmp_path / "ct"), "landmarks": str(tmp_path / "l.parquet")}
    inputs |= {"crops": str(tmp_path / "c.parquet")}
    outputs = {"voxels": str(tmp_path / "p.npy"), "patches": str(tmp_path / "p.parquet")}
    run_script(tmp_path, "patches", inputs, outputs, sections=["crop.smoothing_mm", "patches"])
    patches, table = read_array(outputs["voxels"]), read_table(outputs["patches"], CROPS)
    assert patches.shape == (len(pixels), 2, 48, 48, 48)
    assert patches.dtype == np.int16
    same = ["vertebra", "crop", "evaluable", "reason"]
    assert table[same].equals(crops[same])
