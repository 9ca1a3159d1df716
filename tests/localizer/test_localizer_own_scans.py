"""A user's annotated scan becomes what the networks learn from: only what its mask, centroids or points know."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mosmed_file import write_mosmed
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, mm_to_voxel, to_ras
from vertegrade.levels import LABEL_OF
from vertegrade.localizer.centreline.samples import CentrelineSample, centreline_batches
from vertegrade.localizer.detector.samples import KNOWN, LEVEL, PRESENT, SpineSample, detector_batch
from vertegrade.localizer.own_scans import own_scan
from vertegrade.localizer.refiner.samples import LookSamples
from vertegrade.localizer.sample_file import load_sample
from vertegrade.localizer.samples import make_samples
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.render import render
from vertegrade.phantom.truth import truth_table
from vertegrade.reasons import Refused
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.tables import CENTRE_COLUMNS, POINT_COLUMNS

VERSE014 = Path(__file__).parents[3] / "shared" / "data" / "verse014" / "sub-verse014"
SPACING = (1.0, 1.0, 1.5)
Scan = tuple[Volume, np.ndarray, np.ndarray]
SHOWN = [LABEL_OF[name] for name in ("L1", "L2", "L3", "L4")]


@pytest.fixture(scope="module")
def scan() -> Scan:
    """Volume, mask and true six points (4, 6, 3) of L1-L4 of a healthy phantom; T12 and L5 are in it without a mask."""
    settings = PhantomSettings(fractured_patients=0.0, mimics=0.0, subthreshold=0.0, variants=0.0, slips=0.0)
    patient = draw_patient("ph0001", settings, 3)
    box = patient.extent(LABEL_OF["T12"], LABEL_OF["L5"])
    origin = box[:, 0] - [4, 40, 4]
    shape = tuple(int(n) for n in np.ceil((box[:, 1] - origin + 6) / SPACING))
    hu, mask = render(patient, origin, (shape[0], shape[1], shape[2]), SPACING)
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = origin
    truth = truth_table(patient, origin, (shape[0], shape[1], shape[2]), SPACING, "s-1").set_index("vertebra")
    points = truth.loc[SHOWN, POINT_COLUMNS].to_numpy(float).reshape(-1, 6, 3)
    return Volume(hu.round().astype(np.int16), affine), np.where(np.isin(mask, SHOWN), mask, 0), points


def masked(folder: Path, mask: np.ndarray, affine: np.ndarray) -> ScanRow:
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), folder / "mask.nii.gz")
    return ScanRow("s-1", "p-1", "s.nii.gz", mask=str(folder / "mask.nii.gz"))


def with_centroids(folder: Path, volume: Volume, centres: dict[int, np.ndarray]) -> ScanRow:
    """Row of a scan whose VerSe centroids (RAS mm) alone are known."""
    voxels = {label: mm_to_voxel(volume.affine, centre).tolist() for label, centre in centres.items()}
    points = [{"label": label, "X": x, "Y": y, "Z": z} for label, (x, y, z) in voxels.items()]
    (folder / "ctd.json").write_text(json.dumps([{"direction": ["R", "A", "S"]}, *points]))
    return ScanRow("s-1", "p-1", "s.nii.gz", centroids=str(folder / "ctd.json"))


def with_points(folder: Path, volume: Volume, experts: dict[str, dict[int, np.ndarray]], head_first: bool) -> ScanRow:
    write_mosmed(folder / "points.json", volume, experts, head_first)
    return ScanRow("s-1", "p-1", "s.nii.gz", points=str(folder / "points.json"))


def points_in(table: pd.DataFrame) -> np.ndarray:
    return table[POINT_COLUMNS].to_numpy(float).reshape(-1, 6, 3)


def heights_shown(volume: Volume) -> np.ndarray:
    """RAS z of the first and the last slice of an axial volume, mm."""
    return volume.affine[2, 3] + np.array([0, volume.hu.shape[2] - 1]) * volume.spacing_mm[2]


def test_a_masked_scan_is_cut_to_the_bodies_that_the_mask_knows(scan: Scan, tmp_path: Path) -> None:
    volume, mask, points = scan
    shown, table = own_scan(masked(tmp_path, mask, volume.affine), volume, "LP")
    assert table["vertebra"].tolist() == SHOWN
    assert table["complete"].all()
    found = points_in(table)
    assert np.linalg.norm(found - points, axis=2).mean() < 1.5
    assert heights_shown(shown)[0] == pytest.approx(found[..., 2].min() - 4, abs=SPACING[2])
    assert heights_shown(shown)[1] == pytest.approx(found[..., 2].max() + 4, abs=SPACING[2])
    first = round((shown.affine[2, 3] - volume.affine[2, 3]) / SPACING[2])
    assert np.array_equal(shown.hu, volume.hu[:, :, first : first + shown.hu.shape[2]])


def test_a_map_of_totalsegmentator_teaches_the_same(scan: Scan, tmp_path: Path) -> None:
    volume, mask, _ = scan
    settings = LocalizeSettings.model_validate({"mask_labels": "totalsegmentator"})
    theirs = np.where(mask > 0, 51 - mask.astype(int), 0)
    _, table = own_scan(masked(tmp_path, theirs, volume.affine), volume, "LP", settings)
    assert table["vertebra"].tolist() == SHOWN


def test_a_body_that_ends_in_a_filling_is_not_learnt_from(scan: Scan, tmp_path: Path) -> None:  # field test A8
    volume, mask, points = scan
    middle = round(float(mm_to_voxel(volume.affine, points[-1].mean(axis=0))[2]))
    hu, cut = volume.hu.copy(), mask.copy()
    hu[:, :, :middle], cut[:, :, :middle] = -1024, 0
    _, table = own_scan(masked(tmp_path, cut, volume.affine), Volume(hu, volume.affine), "LP")
    assert table["vertebra"].tolist() == SHOWN[:-1]


def test_a_mask_of_one_body_teaches_nothing(scan: Scan, tmp_path: Path) -> None:
    volume, mask, _ = scan
    with pytest.raises(Refused, match=r"nothing_to_learn.*fewer than two neighbouring bodies"):
        own_scan(masked(tmp_path, np.where(mask == SHOWN[1], mask, 0), volume.affine), volume, "LP")


def test_centroids_alone_know_centres_and_levels_to_half_a_step_beyond(scan: Scan, tmp_path: Path) -> None:
    volume, _, points = scan
    centres = dict(zip(SHOWN, points.mean(axis=1), strict=True))
    shown, table = own_scan(with_centroids(tmp_path, volume, centres), volume, "LP")
    assert table["vertebra"].tolist() == SHOWN
    np.testing.assert_allclose(table[CENTRE_COLUMNS], list(centres.values()), atol=1e-6)
    assert not table["complete"].any()
    assert np.isnan(points_in(table)).all()
    z = np.array([centre[2] for centre in centres.values()])
    ends = [z[-1] - (z[-2] - z[-1]) / 2, z[0] + (z[0] - z[1]) / 2]
    np.testing.assert_allclose(heights_shown(shown), ends, atol=SPACING[2])


@pytest.mark.parametrize("head_first", [True, False])
@pytest.mark.parametrize("axcodes", ["LP", "RA"])
def test_six_points_of_experts_are_their_median_in_the_patient(
    scan: Scan, tmp_path: Path, head_first: bool, axcodes: str
) -> None:
    volume, _, points = scan
    experts = {f"expert{n}": dict(zip(SHOWN, points + shift, strict=True)) for n, shift in enumerate((-1.0, 0.5, 3.0))}
    row = with_points(tmp_path, volume, experts, head_first)
    if axcodes == "RA":  # another way of the pixel arrays: the same numbers mean mirrored places
        text = json.loads(Path(row.points).read_text())
        for vertebra in (v for reading in text["Annotation"].values() for v in reading):
            turned = [volume.hu.shape[1] - 1, volume.hu.shape[0] - 1] - np.array(vertebra["segments"])[..., :2]
            vertebra["segments"] = np.dstack([turned, np.array(vertebra["segments"])[..., 2]]).tolist()
        Path(row.points).write_text(json.dumps(text))
    shown, table = own_scan(row, volume, axcodes)
    assert table["vertebra"].tolist() == SHOWN
    assert table["complete"].all()
    np.testing.assert_allclose(points_in(table), points + 0.5, atol=1e-6)
    assert heights_shown(shown)[1] == pytest.approx((points + 0.5)[..., 2].max() + 4, abs=SPACING[2])


def test_points_win_over_a_mask_and_a_mask_over_centroids() -> None:
    row = ScanRow("s", "p", "s.nii", points="points.json", mask="mask.nii", centroids="ctd.json")
    assert row.annotation() == ("points", "points.json")
    assert replace(row, points="").annotation() == ("mask", "mask.nii")
    assert replace(row, points="", mask="").annotation() == ("centroids", "ctd.json")
    assert replace(row, points="", mask="", centroids="").annotation() == ("", "")


def test_a_level_left_out_ends_the_run(scan: Scan, tmp_path: Path) -> None:
    volume, _, points = scan
    centres = dict(zip(SHOWN, points.mean(axis=1), strict=True))
    del centres[SHOWN[1]]
    shown, table = own_scan(with_centroids(tmp_path, volume, centres), volume, "LP")
    assert table["vertebra"].tolist() == SHOWN[2:]
    assert heights_shown(shown)[1] < points[1, :, 2].mean()


def test_a_vertebra_on_which_experts_disagree_is_not_learnt(scan: Scan, tmp_path: Path) -> None:
    volume, _, points = scan
    one = dict(zip(SHOWN, points, strict=True))
    other = one | {SHOWN[0]: points[0] + np.array([0, 0, 12.0])}
    row = with_points(tmp_path, volume, {"expert1": one, "expert2": other}, head_first=False)
    assert own_scan(row, volume, "LP")[1]["vertebra"].tolist() == SHOWN[1:]


def test_centroids_of_another_image_are_refused(scan: Scan, tmp_path: Path) -> None:
    volume, _, points = scan
    centres = dict(zip(SHOWN, points.mean(axis=1) + np.array([0, 0, 500.0]), strict=True))
    with pytest.raises(Refused, match=r"annotation_misfit.*ctd.json: 4 bodies, of which 4 lie outside"):
        own_scan(with_centroids(tmp_path, volume, centres), volume, "LP")


def test_levels_upside_down_are_refused(scan: Scan, tmp_path: Path) -> None:
    volume, _, points = scan
    centres = dict(zip(SHOWN, points.mean(axis=1)[::-1], strict=True))
    with pytest.raises(Refused, match=r"annotation_misfit.*4 at impossible distances"):
        own_scan(with_centroids(tmp_path, volume, centres), volume, "LP")


def test_points_of_another_image_are_refused_with_expert_and_vertebra(scan: Scan, tmp_path: Path) -> None:
    volume, _, points = scan
    row = with_points(tmp_path, volume, {"expert1": dict(zip(SHOWN, points, strict=True))}, head_first=False)
    smaller = Volume(volume.hu[:, :, :60], volume.affine)
    with pytest.raises(Refused, match=r"points.json: expert1, L1: a point lies outside the scan's"):
        own_scan(row, smaller, "LP")


@pytest.mark.parametrize("known", ["mask", "centroids"])
def test_samples_of_all_networks_can_be_made_of_it(scan: Scan, tmp_path: Path, known: str) -> None:
    volume, mask, points = scan
    centres = dict(zip(SHOWN, points.mean(axis=1), strict=True))
    row = masked(tmp_path, mask, volume.affine) if known == "mask" else with_centroids(tmp_path, volume, centres)
    assert make_samples(tmp_path, {"s": lambda: own_scan(row, volume, "LP")}, seed=1) == 1
    looks = load_sample(tmp_path / "s.look.npz", LookSamples)
    assert len(looks.pixels) == (4 if known == "mask" else 0)
    tables = detector_batch([load_sample(tmp_path / "s.spine.npz", SpineSample)], 4, 1, 0)[1]
    there = tables[tables[..., PRESENT] > 0]
    assert len(there)
    assert (there[:, KNOWN] == (known == "mask")).all()
    assert (there[:, LEVEL] >= 0).all()
    _, _, exists, sure = centreline_batches([load_sample(tmp_path / "s.line.npz", CentrelineSample)], 1)(0)
    assert (exists * sure[..., 0]).sum() > 0


@pytest.mark.shared
@pytest.mark.skipif(not VERSE014.parent.is_dir(), reason=f"{VERSE014.parent} is not on this machine")
def test_verse014_s_centroids_and_mask_teach_the_same_bodies() -> None:
    image = nib.load(f"{VERSE014}_ct.nii.gz")
    hu, affine = to_ras(np.asanyarray(image.dataobj), image.affine)
    volume = Volume(hu.astype(np.int16), affine)
    by_mask = own_scan(ScanRow("s", "p", "s.nii", mask=f"{VERSE014}_seg-vert_msk.nii.gz"), volume, "LP")
    by_centroids = own_scan(ScanRow("s", "p", "s.nii", centroids=f"{VERSE014}_seg-vb_ctd.json"), volume, "LP")
    assert by_mask[1]["vertebra"].tolist() == by_centroids[1]["vertebra"].tolist() == [20, 21, 22, 23, 24]
    apart = np.linalg.norm(by_mask[1][CENTRE_COLUMNS].to_numpy() - by_centroids[1][CENTRE_COLUMNS].to_numpy(), axis=1)
    assert apart.max() < 3
    # The cuts differ by less than a disc and the margin.
    ends = [heights_shown(shown) for shown, _ in (by_mask, by_centroids)]
    assert np.abs(ends[0] - ends[1]).max() < 15
