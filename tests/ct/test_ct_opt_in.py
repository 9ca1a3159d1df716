"""What is refused unless the settings allow it: tilted and uneven stacks resampled, one of several series chosen."""

import io
import json
import zipfile
from itertools import permutations
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from scipy import ndimage

from helpers.bad_inputs import tag
from helpers.series import AXIAL, ORIENTATIONS, ORIGIN, PIXEL_SPACING, body_hu, convert, positions, write_series
from helpers.shared import SHARED, needs_shared
from vertegrade.ct.choice import kernel_kind
from vertegrade.ct.volume import AIR_HU, Volume, read_volume, voxel_to_mm

SLOPES = np.array([2.0, 3.0, 20.0])  # HU per mm of a ramp, which linear interpolation reproduces


def ramp(lps: np.ndarray) -> np.ndarray:
    """HU of a linear world, at points (..., 3) in LPS mm."""
    return (np.asarray(lps) - ORIGIN) @ SLOPES - 200


def ramp_series(folder: Path, places: np.ndarray, orientation: tuple[float, ...] = AXIAL) -> Path:
    """Slices of 24 x 20 pixels through the linear world."""
    rows, columns = np.meshgrid(np.arange(24), np.arange(20), indexing="ij")
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    plane = (columns * PIXEL_SPACING[1])[..., None] * row + (rows * PIXEL_SPACING[0])[..., None] * column
    return write_series(folder, np.rint(ramp(places[:, None, None] + plane)), places, orientation)


def assert_ramp(volume: Volume, inside: int) -> None:
    """Every voxel is the linear world's (rounded twice) or air, and at least `inside` of them are the world's."""
    voxels = np.stack(np.meshgrid(*map(np.arange, volume.hu.shape), indexing="ij"), axis=-1)
    expected = ramp(voxel_to_mm(volume.affine, voxels) * [-1, -1, 1])
    known = ndimage.binary_erosion(volume.hu > -900, iterations=1)  # pixels half beyond the edge mix with air
    assert known.sum() >= inside
    assert np.abs(volume.hu - expected)[known].max() <= 1.1


@pytest.mark.parametrize("orientation", ["axial", "feet first, normal towards the feet", "sagittal", "oblique"])
@pytest.mark.parametrize("degrees", [-15.0, 20.0])
def test_a_tilted_stack_is_straightened(degrees: float, orientation: str, tmp_path: Path) -> None:
    direction = ORIENTATIONS[orientation]
    places = positions(12, direction)
    places += np.arange(12)[:, None] * 1.5 * np.tan(np.radians(degrees)) * np.array(direction[3:])
    folder = ramp_series(tmp_path / "in", places, direction)
    assert convert(folder, tmp_path)["reason"] == "gantry_tilt"
    row = convert(folder, tmp_path, resample_tilt=True)
    assert (row["state"], row["flags"]) == ("done", "resampled_tilt"), row
    volume = read_volume(tmp_path / "scan-1_ct.nii.gz")
    axes = volume.affine[:3, :3] / volume.spacing_mm
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    assert sorted(volume.spacing_mm) == pytest.approx([0.7, 0.9, 1.5], abs=1e-5)
    assert_ramp(volume, 12 * 20 * 16 // 2)


def test_an_uneven_stack_is_resampled_by_its_usual_gap(tmp_path: Path) -> None:
    places = positions(16)
    places[:, 2] = ORIGIN[2] + np.cumsum([0.0, *[1.5] * 8, 2.1, 0.4, 3.0, *[1.5] * 4])
    folder = ramp_series(tmp_path / "in", places)
    assert convert(folder, tmp_path)["reason"] == "uneven_spacing"
    row = convert(folder, tmp_path, resample_spacing=True)
    assert (row["state"], row["flags"], row["slice_spacing_mm"]) == ("done", "resampled_spacing", 1.5), row
    volume = read_volume(tmp_path / "scan-1_ct.nii.gz")
    assert volume.hu.shape == (20, 24, 16)  # 23.5 mm of slices
    assert_ramp(volume, 18 * 22 * 14)


def test_a_bent_stack_is_straightened(tmp_path: Path) -> None:
    places = positions(16)
    places[:, 0] += 2 * np.sin(np.linspace(0, np.pi, 16))
    folder = ramp_series(tmp_path / "in", places)
    assert convert(folder, tmp_path)["reason"] == "uneven_spacing"
    row = convert(folder, tmp_path, resample_spacing=True)
    assert (row["state"], row["flags"]) == ("done", "resampled_spacing"), row
    assert_ramp(read_volume(tmp_path / "scan-1_ct.nii.gz"), 16 * 22 * 14)


def test_what_straightening_adds_counts_too(tmp_path: Path) -> None:
    places = positions(12)
    places[:, 1] += np.arange(12) * 1.5 * np.tan(np.radians(18))
    folder = write_series(tmp_path / "in", body_hu(), places)
    assert convert(folder, tmp_path, resample_tilt=True, max_voxels=body_hu().size)["reason"] == "too_large"


def test_a_gap_is_bridged_but_not_one_thicker_than_the_limit(tmp_path: Path) -> None:
    folder = ramp_series(tmp_path / "in", positions(16))
    (folder / "slice006.dcm").unlink()
    row = convert(folder, tmp_path, resample_spacing=True)
    assert (row["state"], row["flags"], row["slices"]) == ("done", "resampled_spacing", 15), row
    assert_ramp(read_volume(tmp_path / "scan-1_ct.nii.gz"), 18 * 22 * 14)
    for number in (7, 8, 9):
        (folder / f"slice{number:03d}.dcm").unlink()
    row = convert(folder, tmp_path, resample_spacing=True)
    assert (row["reason"], "slices of 7.5 mm" in row["message"]) == ("thick_slices", True)


def test_the_opt_in_of_one_fault_does_not_excuse_the_other(tmp_path: Path) -> None:
    places = positions(12)
    places[:, 1] += np.arange(12) * 0.3
    places[6:, 2] += 0.4
    folder = ramp_series(tmp_path / "in", places)
    assert convert(folder, tmp_path, resample_tilt=True)["reason"] == "uneven_spacing"
    assert convert(folder, tmp_path, resample_spacing=True)["reason"] == "gantry_tilt"
    row = convert(folder, tmp_path, resample_spacing=True, resample_tilt=True)
    assert row["flags"] == "resampled_spacing resampled_tilt"
    assert_ramp(read_volume(tmp_path / "scan-1_ct.nii.gz"), 12 * 20 * 16 // 2)


def test_even_and_straight_stacks_are_never_resampled(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "in", body_hu())
    plain = convert(folder, tmp_path)
    assert convert(folder, tmp_path, resample_spacing=True, resample_tilt=True, choose_series="soft") == plain


def source_value(slices: list[Dataset], point: np.ndarray) -> float:
    """HU at a point (LPS mm) by linear interpolation between two slices, each bilinear in its own plane."""
    row, column = np.split(np.array(slices[0].ImageOrientationPatient, dtype=float), 2)
    normal = np.cross(row, column)
    corners = np.array([item.ImagePositionPatient for item in slices], dtype=float)
    along = corners @ normal
    upper = int(np.clip(np.searchsorted(along, point @ normal), 1, len(slices) - 1))
    values = []
    for item, corner in zip(slices[upper - 1 : upper + 1], corners[upper - 1 : upper + 1], strict=True):
        in_plane = [(point - corner) @ column / item.PixelSpacing[0], (point - corner) @ row / item.PixelSpacing[1]]
        hu = item.pixel_array * float(item.RescaleSlope) + float(item.RescaleIntercept)
        if item.get("PixelPaddingValue") is not None:
            hu[item.pixel_array == item.PixelPaddingValue] = AIR_HU
        values.append(ndimage.map_coordinates(hu, np.array(in_plane)[:, None], order=1, cval=AIR_HU)[0])
    share = (point @ normal - along[upper - 1]) / (along[upper] - along[upper - 1])
    return float((1 - share) * values[0] + share * values[1])


@needs_shared
@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "settings", "flags"),
    [
        ("irregular_spacing.zip", {"resample_spacing": True}, "ends_missing resampled_spacing"),
        (
            "gantry_tilt.zip",
            {"resample_tilt": True, "resample_spacing": True, "max_slice_thickness_mm": 7.5},
            "resampled_spacing resampled_tilt thick_slices",
        ),
    ],
)
def test_real_series_are_read_right(name: str, settings: dict[str, float], flags: str, tmp_path: Path) -> None:
    row = convert(SHARED / name, tmp_path, **settings)
    assert (row["state"], row["flags"]) == ("done", flags), row
    volume = read_volume(tmp_path / "scan-1_ct.nii.gz")
    with zipfile.ZipFile(SHARED / name) as archive:
        members = [io.BytesIO(archive.read(member)) for member in archive.infolist() if not member.is_dir()]
    slices = [pydicom.dcmread(member) for member in members if member.getvalue()[128:132] == b"DICM"]
    row_, column = np.split(np.array(slices[0].ImageOrientationPatient, dtype=float), 2)
    normal = np.cross(row_, column)
    slices.sort(key=lambda item: float(np.array(item.ImagePositionPatient, dtype=float) @ normal))
    voxels = np.random.default_rng(0).integers(0, volume.hu.shape, (60, 3))
    points = voxel_to_mm(volume.affine, voxels) * [-1, -1, 1]
    expected = np.array([source_value(slices, point) for point in points])
    # pixels that straddle the edge of a slice are air here and half a pixel there
    close = np.abs(volume.hu[tuple(voxels.T)] - expected) <= 1.5
    assert close.mean() >= 0.97
    assert np.ptp(expected) > 500


def series_folder(tmp_path: Path, kinds: dict[str, dict[str, object]]) -> Path:
    """Several series of one study in one folder, each with its own pixels."""
    for number, (name, tags) in enumerate(kinds.items()):
        orientation = tags.pop("orientation", AXIAL)
        count = tags.pop("count", 12)

        def change(dataset: Dataset, index: int, number: int = number, tags: dict[str, object] = tags) -> None:
            dataset.SeriesInstanceUID = f"1.2.3.{number}"
            for key, value in tags.items():
                setattr(dataset, key, value)

        hu = body_hu(count, seed=number)
        names = [f"{name}{index}.dcm" for index in range(len(hu))]
        write_series(tmp_path / "in", hu, orientation=orientation, names=names, change=change)
    return tmp_path / "in"


KINDS = {
    "reformat": {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"], "SliceThickness": "0.5"},
    "sagittal": {"orientation": (0, 1, 0, 0, 0, -1), "SliceThickness": "0.6"},
    "thick": {"SliceThickness": "3", "count": 30},
    "short": {"SliceThickness": "1.5", "ConvolutionKernel": "Br38f"},
    "soft": {"SliceThickness": "1.5", "ConvolutionKernel": "Br38f", "count": 14},
    "bone": {"SliceThickness": "1.5", "ConvolutionKernel": "Br60f", "count": 14},
}


@pytest.mark.parametrize("kernel", ["soft", "bone"])
def test_the_rule_chooses_and_is_written_down(kernel: str, tmp_path: Path) -> None:
    alone = convert(series_folder(tmp_path / "alone", {"": {}} | {kernel: dict(KINDS[kernel])}), tmp_path)
    assert alone["reason"] == "several_series"
    folder = series_folder(tmp_path, {name: dict(tags) for name, tags in KINDS.items()})
    row = convert(folder, tmp_path, choose_series=kernel)
    assert (row["state"], row["flags"], row["slices"]) == ("done", "chosen_series", 14), row
    assert row["kernel"] == KINDS[kernel]["ConvolutionKernel"]
    assert f"original before derived, axial before other planes, thinnest slices, {kernel} kernel" in row["warnings"]
    choice = json.loads((tmp_path / "scan-1_ct.json").read_text())["series_choice"]
    assert len(choice) == 6
    assert choice[0] == {"slices": 14, "thickness_mm": 1.5, "kernel": kernel, "original": True, "axial": True}
    assert [item["thickness_mm"] for item in choice[3:]] == [3.0, 0.6, 0.5]


@pytest.mark.parametrize("thickness", [0.625, 0.75, 1.25, 3.75])
def test_a_rounding_of_thickness_does_not_choose(thickness: float, tmp_path: Path) -> None:  # field test B3
    more = {"SliceThickness": f"{thickness + 1e-4:.4f}", "count": 30}
    kinds = {"few": {"SliceThickness": f"{thickness - 1e-4:.4f}"}, "many": more}
    assert convert(series_folder(tmp_path, kinds), tmp_path, choose_series="soft")["slices"] == 30


def test_the_choice_does_not_depend_on_the_order_of_files(tmp_path: Path) -> None:
    chosen = set()
    for number, names in enumerate(permutations(["soft", "bone", "thick"])):
        order = {f"{place}{name}": dict(KINDS[name]) for place, name in enumerate(names)}
        row = convert(series_folder(tmp_path / str(number), order), tmp_path, choose_series="bone")
        chosen.add((row["kernel"], row["slices"]))
    assert chosen == {("Br60f", 14)}


def test_series_of_two_studies_are_not_chosen_from(tmp_path: Path) -> None:
    folder = series_folder(tmp_path, {"soft": dict(KINDS["soft"])})
    late = tag("StudyInstanceUID", "1.2.9")
    write_series(folder, body_hu(seed=8), names=[f"late{index}.dcm" for index in range(12)], change=late)
    row = convert(folder, tmp_path, choose_series="soft")
    assert (row["reason"], "more than one study" in row["message"]) == ("several_series", True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("B30f", "soft"), ("Br40d", "soft"), ("Br38f/3", "soft"), ("B70s", "bone"), ("Br60f", "bone"), ("J70h", "bone"),
        ("STANDARD", "soft"), ("BONEPLUS", "bone"), ("LUNG", "bone"), ("B", "soft"), ("YB", "bone"), ("FC18", "soft"),
        ("FC30", "bone"), ("", ""), ("odd name", ""),
    ],
)  # fmt: skip
def test_kernels_by_name(name: str, kind: str) -> None:
    assert kernel_kind(name) == kind
