"""Body centres from masks of whole vertebrae, and masks that do not belong to the scan."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from vertegrade.annotations.masks import body_centres, body_of, boxes_of, read_mask
from vertegrade.reasons import Refused

AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])
SHAPE = (80, 100, 120)


def vertebra(height: int = 24, shape: tuple[int, int, int] = SHAPE, z: int = 60) -> np.ndarray:
    """A vertebra at 1 mm: a body 40 x 30 mm around (40, 70, z), pedicles, arch, spinous and transverse processes."""
    mask = np.zeros(shape, bool)
    low = z - height // 2
    mask[20:60, 55:85, low : low + height] = True
    for side in (slice(24, 32), slice(48, 56)):
        mask[side, 38:55, z : z + 10] = True
    mask[24:56, 30:38, z - 12 : z + 12] = True
    mask[36:44, 8:30, z - 14 : z + 4] = True
    mask[4:76, 34:40, z : z + 8] = True
    return mask


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def test_each_vertebra_has_its_box() -> None:
    labels = np.zeros((4, 5, 30), np.uint8)
    labels[1:3, 2:5, 3:6], labels[2, 3, 20:22] = 28, 20
    boxes = boxes_of(labels)
    assert boxes == {28: (slice(1, 3), slice(2, 5), slice(3, 6)), 20: (slice(2, 3), slice(3, 4), slice(20, 22))}


@pytest.mark.parametrize("height", [24, 14, 10])
def test_the_centre_is_the_body_s_whatever_the_arch_and_however_crushed(height: int) -> None:
    bodies = body_centres(vertebra(height).astype(np.uint8) * 20, AFFINE, "mask", None)
    assert bodies[20].reason == ""
    np.testing.assert_allclose(bodies[20].centre_mm, [39.5, 69.5, 59.5], atol=1.0)


def test_an_arch_that_meets_the_body_off_the_midline_does_not_count_as_body() -> None:
    mask = vertebra()
    mask[41:56, 38:55, 55:70] = True  # the canal is open only to the right of the midline
    assert not body_of(mask, np.ones(3))[:, :50].any()


def test_a_mask_of_bodies_alone_is_taken_whole_but_for_islands() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[20:60, 55:85, 48:72] = True
    with_island = mask.copy()
    with_island[2:5, 60:63, 100:103] = True
    np.testing.assert_array_equal(body_of(with_island, np.ones(3)), mask)


def test_islands_do_not_move_the_centre() -> None:
    mask = vertebra()
    mask[38:42, 95:98, 5:8] = True
    mask[2:5, 60:63, 100:103] = True
    centre = body_centres(mask.astype(np.uint8) * 20, AFFINE, "mask", None)[20].centre_mm
    np.testing.assert_allclose(centre, [39.5, 69.5, 59.5], atol=1.0)


def test_a_body_at_the_edge_of_the_scan_and_a_scrap_of_one_get_reasons() -> None:
    labels = vertebra().astype(np.uint8) * 21
    labels[vertebra(z=110)] = 20
    labels[30:36, 60:66, 20:26] = 22
    bodies = body_centres(labels, AFFINE, "mask", None)
    assert {label: body.reason for label, body in bodies.items()} == {
        20: "cut_by_scan_edge",
        21: "",
        22: "mask_too_small",
    }


@pytest.mark.parametrize("cut", [np.s_[:, :, :49], np.s_[:, :, 72:], np.s_[:, 85:], np.s_[:, 80:]])
def test_a_body_that_ends_in_a_filling_is_cut(cut: tuple[slice, ...]) -> None:  # field test A8
    labels = vertebra().astype(np.uint8) * 20
    hu = np.random.default_rng(0).normal(100, 30, SHAPE).astype(np.int16)
    assert body_centres(labels, AFFINE, "mask", hu)[20].reason == ""
    hu[cut] = -1024
    assert body_centres(labels, AFFINE, "mask", hu)[20].reason == "cut_by_scan_edge"


@pytest.mark.parametrize("codes", [("P", "I", "R"), ("L", "P", "S"), ("S", "R", "A")], ids="".join)
def test_a_mask_in_any_orientation_on_disk_is_turned_to_the_scan(tmp_path: Path, codes: tuple[str, ...]) -> None:
    labels = vertebra().astype(np.uint8) * 20
    turn = nib.orientations.ornt_transform(nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt(codes))
    turned = nib.Nifti1Image(labels, AFFINE).as_reoriented(turn)
    nib.save(turned, tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.nii.gz", SHAPE, AFFINE), labels)


def test_equal_shape_with_another_affine_is_another_grid(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[2, 3] = 1.0
    path = save(tmp_path / "mask.nii.gz", vertebra().astype(np.uint8), moved)
    with pytest.raises(Refused, match=r"mask\.nii\.gz: lies up to 1\.0 mm") as caught:
        read_mask(path, SHAPE, AFFINE)
    assert caught.value.reason == "mask_other_grid"


def test_another_shape_is_another_grid(tmp_path: Path) -> None:
    path = save(tmp_path / "mask.nii.gz", np.ones((80, 100, 119), np.uint8))
    with pytest.raises(Refused, match="119") as caught:
        read_mask(path, SHAPE, AFFINE)
    assert caught.value.reason == "mask_other_grid"


def test_fractions_are_not_labels_but_whole_floats_are(tmp_path: Path) -> None:
    whole = vertebra().astype(np.float32) * 20
    assert read_mask(save(tmp_path / "whole.nii.gz", whole), SHAPE, AFFINE).dtype.kind == "i"
    with pytest.raises(Refused, match="nearest neighbour") as caught:
        read_mask(save(tmp_path / "half.nii.gz", whole / 3), SHAPE, AFFINE)
    assert caught.value.reason == "mask_not_labels"


@pytest.mark.parametrize("content", [b"", b"not an image at all", None], ids=["empty", "text", "missing"])
def test_an_unreadable_mask_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.nii.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Refused, match=r"broken\.nii\.gz") as caught:
        read_mask(path, SHAPE, AFFINE)
    assert caught.value.reason == "mask_unreadable"


def test_a_truncated_mask_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "short.nii.gz", np.random.default_rng(0).integers(0, 20, SHAPE).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(Refused) as caught:
        read_mask(path, SHAPE, AFFINE)
    assert caught.value.reason == "mask_unreadable"


@pytest.mark.parametrize(("label", "reason"), [(31, "unknown_label"), (0, "no_vertebrae"), (26, "no_vertebrae")])
def test_masks_without_verse_labels_are_refused(label: int, reason: str) -> None:
    with pytest.raises(Refused, match="mask") as caught:
        body_centres(vertebra().astype(np.uint8) * label, AFFINE, "mask", None)
    assert caught.value.reason == reason


def test_a_mask_of_four_dimensions_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "mask.nii.gz", np.ones((*SHAPE, 2), np.uint8))
    with pytest.raises(Refused, match="three dimensions"):
        read_mask(path, SHAPE, AFFINE)


def test_a_mask_without_a_usable_affine_is_refused(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE)
    image.set_sform(np.diag([0.0, 0.0, 0.0, 1.0]), code="scanner")
    nib.save(image, tmp_path / "mask.nii.gz")
    with pytest.raises(Refused, match=r"mask\.nii\.gz"):
        read_mask(tmp_path / "mask.nii.gz", SHAPE, AFFINE)


def test_a_mask_of_another_image_format_is_refused(tmp_path: Path) -> None:
    nib.save(nib.MGHImage(np.ones(SHAPE, np.uint8), AFFINE), tmp_path / "mask.mgz")
    with pytest.raises(Refused, match=r"mask\.mgz: cannot be read as a NIfTI mask") as caught:
        read_mask(tmp_path / "mask.mgz", SHAPE, AFFINE)
    assert caught.value.reason == "mask_unreadable"


def test_halves_and_crumbs_of_a_body_have_a_centre() -> None:
    halves = np.zeros(SHAPE, np.uint8)
    halves[10:30, 55:85, 48:72] = halves[50:70, 55:85, 48:72] = 20  # nothing near the middle
    crumbs = np.zeros(SHAPE, np.uint8)
    crumbs[38:42, 10:90:8, 60:64] = 20  # ten equal pieces, none of them large
    for labels in (halves, crumbs):
        assert np.isfinite(body_centres(labels, AFFINE, "mask", None)[20].centre_mm).all()


def test_damage_anywhere_in_a_mask_is_refused(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 20, SHAPE).astype(np.uint8)
    packed = save(tmp_path / "mask.nii.gz", labels).read_bytes()
    plain = save(tmp_path / "mask.nii", labels).read_bytes()
    no_type = bytearray(plain)
    no_type[70:72] = (4096).to_bytes(2, "little")
    nowhere = bytearray(plain)
    nowhere[108:112] = np.float32("inf").tobytes()
    for name, data in {
        "start.nii.gz": packed[:3000] + b"\xff" * 20 + packed[3020:],
        "middle.nii.gz": packed[:300_000] + b"\xff" * 3000 + packed[303_000:],
        "checksum.nii.gz": packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:],
        "short.nii": plain[:5000],
        "no_type.nii": bytes(no_type),
        "nowhere.nii": bytes(nowhere),
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Refused, match=name) as caught:
            read_mask(tmp_path / name, SHAPE, AFFINE)
        assert caught.value.reason == "mask_unreadable", name


def test_discs_and_endplates_of_spineps_are_left_out_of_a_mask() -> None:  # field test B4
    labels = vertebra().astype(np.uint8) * 20
    for label, top in ((120, 78), (220, 80), (26, 84), (126, 88), (29, 92), (33, 96)):
        labels[30:50, 60:80, top : top + 2] = label
    bodies = body_centres(labels, AFFINE, "mask", None)
    assert list(bodies) == [20]
    np.testing.assert_allclose(bodies[20].centre_mm, body_centres(vertebra() * 20, AFFINE, "mask", None)[20].centre_mm)


@pytest.mark.parametrize("label", [29, 33, 99, 129 + 100 + 5, 199])
def test_labels_that_may_mean_something_else_stay_refused(label: int) -> None:
    labels = vertebra().astype(np.uint8) * 20
    labels[30:50, 60:80, 80:82] = label
    with pytest.raises(Refused, match=f"label {label} is no VerSe vertebra"):
        body_centres(labels, AFFINE, "mask", None)


@pytest.mark.parametrize("beyond", [(1,), (1, 1)])
def test_a_mask_with_further_axes_of_one_voxel_is_read(
    tmp_path: Path, beyond: tuple[int, ...]
) -> None:  # field test B4
    labels = vertebra().astype(np.uint8) * 20
    path = save(tmp_path / "mask.nii.gz", labels.reshape(*SHAPE, *beyond))
    np.testing.assert_array_equal(read_mask(path, SHAPE, AFFINE), labels)


def test_labels_behind_a_scale_factor_are_whole_and_nan_is_called_by_its_name(tmp_path: Path) -> None:
    labels = vertebra().astype(np.float32) * 20
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.nii.gz", labels * 1.00001), SHAPE, AFFINE), labels)
    labels[0, 0, 0] = np.nan
    with pytest.raises(Refused, match="contains NaN or infinite values; write 0 instead"):
        read_mask(save(tmp_path / "b.nii.gz", labels), SHAPE, AFFINE)
