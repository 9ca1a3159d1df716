"""List 3.3 of bad inputs, 18 and 42 to 50: guards of later stages. Numbers in the names are the list's."""

import json
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import yaml

from helpers.bad_inputs import verdict
from helpers.series import body_hu, convert
from helpers.simulated_latents import cohort
from helpers.tiny_dae import MODEL, pixels
from vertegrade.cohort.labels import LabelError, read_label_table
from vertegrade.cohort.sheet import ScanRow, SheetError, read_sheet
from vertegrade.ct.volume import Volume
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.weights import load_dae, save_dae
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.rows import GradingError
from vertegrade.preflight.config import read_settings
from vertegrade.reasons import Refused
from vertegrade.settings.grading import GradingSettings
from vertegrade.settings.loading import SettingsError, check_settings, check_yaml
from vertegrade.settings.spine import CropSettings, LocalizeSettings
from vertegrade.spine.crop import crop_scan
from vertegrade.spine.landmarks import provided_landmarks
from vertegrade.weights import WeightsError

AFFINE = np.array([[1.0, 0, 0, -30], [0, 1.0, 0, -50], [0, 0, 2.0, -700], [0, 0, 0, 1]])
VOLUME = Volume(np.zeros((60, 60, 120), np.int16), AFFINE)


def with_centroids(folder: Path, voxels: dict[Any, list[float]], direction: str = "RAS", **head: Any) -> ScanRow:
    """A row of the sheet with VerSe centroids: label -> voxel; a label "20b" is a second 20."""
    points = [{"label": int(str(k).rstrip("b")), **dict(zip("XYZ", v, strict=True))} for k, v in voxels.items()]
    path = folder / "ctd.json"
    path.write_text(json.dumps([{"direction": list(direction), **head}, *points]))
    return ScanRow("scan-1", "patient-1", "ct.nii.gz", centroids=str(path))


def landmarks(row: ScanRow) -> dict[int, str]:
    """Reason by label."""
    table = provided_landmarks(row, VOLUME, LocalizeSettings())
    return dict(zip(table["vertebra"], table["reason"], strict=True))


def refused(row: ScanRow, name: str) -> str:
    """Reason of a scan without landmarks, whose message names the file."""
    with pytest.raises(Refused) as caught:
        landmarks(row)
    assert name in caught.value.message
    return caught.value.reason


def test_18_a_vertebra_that_the_scan_cuts(tmp_path: Path) -> None:
    row = with_centroids(tmp_path, {20: [30, 30, 117], 21: [30, 30, 103], 22: [30, 30, 89], 23: [30, 30, 75]})
    table = provided_landmarks(row, VOLUME, LocalizeSettings())
    crops = crop_scan(VOLUME, table, CropSettings(pixel_mm=1.0), 2.0)[2].set_index("vertebra")
    assert crops["reason"].to_dict() == {20: "outside_scan", 21: "", 22: "", 23: ""}
    assert crops["evaluable"].tolist() == [False, True, True, True]


def with_mask(folder: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> ScanRow:
    nib.save(nib.Nifti1Image(array, affine), folder / "mask.nii.gz")
    return ScanRow("scan-1", "patient-1", "ct.nii.gz", mask=str(folder / "mask.nii.gz"))


def bodies(*labels: int) -> np.ndarray:
    """A mask of boxes, the first label uppermost."""
    mask = np.zeros(VOLUME.hu.shape, np.uint8)
    for number, label in enumerate(labels):
        mask[15:45, 20:45, 100 - 14 * number : 110 - 14 * number] = label
    return mask


def test_42_a_mask_on_another_grid(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[2, 3] += 1
    assert refused(with_mask(tmp_path, bodies(20, 21), moved), "mask.nii.gz") == "mask_other_grid"
    assert refused(with_mask(tmp_path, bodies(20, 21)[..., :-1]), "mask.nii.gz") == "mask_other_grid"
    assert landmarks(with_mask(tmp_path, bodies(20, 21))) == {20: "", 21: ""}


COLUMN = {19: [30, 30, 100], 20: [30, 30, 86], 21: [30, 30, 72]}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"voxels": COLUMN | {"20b": [30, 30, 50]}}, "duplicate_label"),
        ({"voxels": COLUMN | {29: [30, 30, 50]}}, "unknown_label"),
        ({"voxels": {20: [30, 30, 900]}}, "centroids_outside_scan"),
        ({"voxels": COLUMN, "shape": [61, 60, 120]}, "centroids_other_grid"),
        ({"voxels": COLUMN, "direction": "RLS"}, "centroids_unreadable"),
    ],
    ids=["twice", "unknown", "outside", "other grid", "no orientation"],
)
def test_43_centroids(row: dict[str, Any], reason: str, tmp_path: Path) -> None:
    assert refused(with_centroids(tmp_path, **row), "ctd.json") == reason


def test_43_centroids_in_a_wrong_orientation_are_not_graded(tmp_path: Path) -> None:
    assert set(landmarks(with_centroids(tmp_path, COLUMN, "RAI")).values()) == {"implausible_spacing"}


def test_43_gaps_extra_levels_and_28_as_sacrum(tmp_path: Path) -> None:
    gap = {18: [30, 30, 110], 20: [30, 30, 82], 25: [30, 30, 12]}
    assert landmarks(with_centroids(tmp_path, gap)) == {18: "", 20: "", 25: ""}
    t13 = {19: [30, 30, 100], 28: [30, 30, 87], 20: [30, 30, 74], 21: [30, 30, 61]}
    assert landmarks(with_centroids(tmp_path, t13)) == {19: "", 28: "", 20: "", 21: ""}
    sacrum = {22: [30, 30, 60], 23: [30, 30, 46], 24: [30, 30, 32], 28: [30, 30, 16]}
    assert landmarks(with_centroids(tmp_path, sacrum)) == {22: "", 23: "", 24: "", 28: "implausible_spacing"}


def test_44_masks_with_fractions_unknown_labels_islands_and_swaps(tmp_path: Path) -> None:
    assert refused(with_mask(tmp_path, bodies(20, 21) / 3), "mask.nii.gz") == "mask_not_labels"
    assert refused(with_mask(tmp_path, bodies(20, 33)), "mask.nii.gz") == "unknown_label"
    island = bodies(20, 21)
    island[:2, :2, :2] = 20
    assert landmarks(with_mask(tmp_path, island)) == {20: "", 21: ""}
    assert "implausible_spacing" in landmarks(with_mask(tmp_path, bodies(19, 21, 20, 22, 23))).values()


HEADER = "patient_id,scan_id,vertebra,genant_grade\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEADER + "p,s,T12,mild\n", "line 2: genant_grade 'mild' is unknown; write 0, 1, 2 or 3"),
        (HEADER + "p,s,T12,1\np,s,T12,1\n", "line 3: T12 of scan 's' is already on line 2"),
        (HEADER + "p,s,T12,2026-01-02\n", "line 2: genant_grade '2026-01-02' is unknown"),
        (HEADER + "p,s,T12\n", "line 2: 3 cells, the header has 4"),
        ("patient_id,scan_id,vertebra\np,s,T12\n", "column 'genant_grade' is missing"),
    ],
)
def test_45_grade_tables(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "grades.csv").write_text(text)
    with pytest.raises(LabelError) as caught:
        read_label_table(tmp_path / "grades.csv")
    assert "grades.csv" in str(caught.value)
    assert told in str(caught.value)


def test_45_bom_crlf_semicolons_and_leading_zeros_are_fine(tmp_path: Path) -> None:
    text = "\ufeff" + HEADER.replace(",", ";").replace("\n", "\r\n") + "007;0042;T12;2\r\n"
    (tmp_path / "grades.csv").write_bytes(text.encode())
    table = read_label_table(tmp_path / "grades.csv").table
    assert table.loc[0, ["patient_id", "scan_id", "genant_grade"]].tolist() == ["007", "0042", 2.0]


def test_46_paths_of_the_sheet(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name in ("nowhere", "loop"):
        assert verdict(convert(tmp_path / name, tmp_path / "out")) == ("failed", "path_missing")
    odd = tmp_path / "it's a ü folder"
    odd.mkdir()
    nib.save(nib.Nifti1Image(body_hu(12, 12, 12).astype(np.int16), AFFINE), odd / "a b.nii.gz")
    (tmp_path / "sheet.csv").write_text(f"scan_id,patient_id,path\nscan-1,p,{odd}/a b.nii.gz\n")
    (row,) = read_sheet(tmp_path / "sheet.csv")
    assert convert(Path(row.path), tmp_path / "out")["state"] == "done"


def test_46_ids_that_could_be_paths(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("scan_id,patient_id,path\n../a,p,x\nb;touch,p,x\n")
    with pytest.raises(SheetError, match=r"(?s)line 2: scan_id '\.\./a'.*line 3: scan_id 'b;touch'"):
        read_sheet(tmp_path / "sheet.csv")


def test_47_one_class_or_one_patient_only() -> None:
    latents, labels, splits = cohort()
    for grades in (labels.assign(genant_grade=0.0), labels.assign(genant_grade=2.0)):
        with pytest.raises(GradingError, match="needs at least 2 patients"):
            fit_hyperplane(latents, grades, splits, GradingSettings(), seed=1)
    one = labels["genant_grade"].where(labels["patient_id"] == labels["patient_id"][0], 0.0)
    with pytest.raises(GradingError, match="needs at least 2 patients"):
        fit_hyperplane(latents, labels.assign(genant_grade=one), splits, GradingSettings(), seed=1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ct: {min_slice: 3}", "did you mean `ct.min_slices`?"),
        ("ct: {min_slices: many}", "`ct.min_slices` is 'many'"),
        ("ct: {min_slices: -3}", "`ct.min_slices` is -3"),
        ("ct: {min_slices: no}", "`ct.min_slices` is False"),
        ("ct: {max_slice_thickness_mm: 1e1}", "write 1.0e-4, not 1e-4"),
        ("ct: {min_slices: 0o12}", "`ct.min_slices` is '0o12'"),
        ("ct: {min_slices: &a [*a]}", "`ct.min_slices` is [[[...]]]"),
    ],
    ids=["unknown key", "wrong type", "negative", "no is False", "text as number", "octal", "anchor in itself"],
)
def test_48_configs(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SettingsError, match=re.escape(told)) as caught:
        check_settings(yaml.safe_load(text), [str(tmp_path / "mine.yaml")])
    assert "mine.yaml:1" in str(caught.value)


def test_48_a_key_given_twice(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("ct:\n  min_slices: 4\n  min_slices: 5\n")
    with pytest.raises(SettingsError, match=r"mine\.yaml:3: key `min_slices` is already on line 2"):
        check_yaml([str(tmp_path / "mine.yaml")])


@pytest.mark.parametrize("number", ["010", "-07", "1:30", "1:30.5"])
def test_48_numbers_of_another_base(number: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"ct:\n  min_slices: {number}\n")
    with pytest.raises(SettingsError, match=rf"mine\.yaml:2: `{number}` is base 8 or 60 to YAML"):
        check_yaml([str(tmp_path / "mine.yaml")])
    (tmp_path / "mine.yaml").write_text(f"a: [0, 0.5, 10, 1_000, 1.0e-4, '{number}', 12:30:x]\n")
    check_yaml([str(tmp_path / "mine.yaml")])


def test_48_tabs_and_aliases(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("run:\n\tseed: 1\n")
    assert "to not mix whitespace and tab" in read_settings([str(tmp_path / "mine.yaml")])[1][0]
    (tmp_path / "mine.yaml").write_text("ct: &a\n  min_slices: [*a]\n")
    problem, _ = read_settings([str(tmp_path / "mine.yaml")])[1]
    assert "mine.yaml:2: `ct.min_slices` is" in problem


def test_49_weights_that_are_missing_damaged_or_others(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(WeightsError, match=r"weights\.safetensors: not a readable.*train the DAE again"):
        load_dae(path)
    network = DaeNetwork(MODEL, pixels().shape[2])
    save_dae(path, network, MODEL, pixels().shape[1:], {})
    sha256 = load_dae(path).sha256
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert load_dae(path).sha256 != sha256  # and latents of the one are stale for the other's hyperplane: 50
    path.write_bytes(data[:-100])
    with pytest.raises(WeightsError, match="train the DAE again"):
        load_dae(path)


def test_50_latents_of_another_length_or_another_model() -> None:
    latents, labels, splits = cohort()
    plane = fit_hyperplane(latents, labels, splits, GradingSettings(), seed=1)
    with pytest.raises(GradingError, match="stale latents: made by the encoder bbbbbbbbbbbb"):
        plane.check_latents(latents.assign(model_sha256="b" * 64))
    with pytest.raises(GradingError, match=r"fitted on 24 dimensions; fit the hyperplane again"):
        plane.signed_distance(np.zeros((2, 25)))


def test_the_list_is_complete() -> None:
    """Every number of the list has a test: test_07_..., or test_19_and_20_... for two."""
    names = [
        name
        for file in Path(__file__).parent.glob("test_ct_bad_inputs_*.py")
        for name in re.findall(r"^def test_((?:\d\d_(?:and_)?)+)", file.read_text(), re.M)
    ]
    assert {int(number) for name in names for number in re.findall(r"\d\d", name)} == set(range(1, 51))
