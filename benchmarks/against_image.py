"""How often the image is found to contradict orientation or landmarks, where it does and where it does not.

    .venv/bin/python benchmarks/against_image.py phantoms --seed 4141 --scans 60
    .venv/bin/python benchmarks/against_image.py real --shared ../shared/data

Each scan unchanged and with its array reversed under the same header (front and back, head and feet, both), with the
vertebrae that the networks find in it, and with given centres that are reversed too; then given centres that are wrong.
A line per case: the scan, the case, the reason of the refusal (- where it passes) and both mean log odds.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from vertegrade.annotations.masks import body_centres
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, mm_to_voxel, to_ras, voxel_to_mm
from vertegrade.levels import SACRUM, craniocaudal_rank
from vertegrade.localizer.landmarks import learned_landmarks
from vertegrade.localizer.networks import Localizer, load_localizer
from vertegrade.localizer.sight.against_image import body_odds, check_against_image, way_odds
from vertegrade.localizer.sight.see import WAYS, Sight, load_sight, see
from vertegrade.phantom.training_scan import cohort_scan
from vertegrade.reasons import Refused
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.tables import CENTRE_COLUMNS, POINT_COLUMNS

NAMES = ("unchanged", "front-back", "head-feet", "both")
Scan = tuple[str, Volume, dict[int, np.ndarray]]


def phantoms(seed: int, first: int, count: int) -> Iterator[Scan]:
    """Phantoms as in the default cohort with their true centres."""
    for number in range(first, first + count):
        volume, truth = cohort_scan(seed, number)
        truth = truth[truth["vertebra"] != SACRUM]
        yield f"{seed}-{number}", volume, dict(zip(truth["vertebra"], truth[CENTRE_COLUMNS].to_numpy(), strict=True))


def real(shared: Path) -> Iterator[Scan]:
    """Real scans, with the body centres of their masks where they have one."""
    from real_ct import scans

    for name, (volume, labels) in scans(shared).items():
        bodies = body_centres(labels, volume.affine, name, volume.hu)
        yield name, volume, {label: body.centre_mm for label, body in bodies.items()}
    for file in sorted((shared / "unlabelled").glob("*_ct.nii.gz")):
        image = nib.load(file)
        hu, affine = to_ras(np.asanyarray(image.dataobj), image.affine)
        yield file.name.removesuffix("_ct.nii.gz"), Volume(np.ascontiguousarray(hu.astype(np.int16)), affine), {}


def given(centres: dict[int, np.ndarray]) -> pd.DataFrame:
    """Landmarks as from centroids."""
    labels = sorted(centres, key=craniocaudal_rank)
    table = pd.DataFrame([centres[label] for label in labels], columns=CENTRE_COLUMNS)
    return table.assign(vertebra=labels, source="centroids", reason="", **dict.fromkeys(POINT_COLUMNS, np.nan))


def turned(
    volume: Volume, centres: dict[int, np.ndarray], way: tuple[bool, bool]
) -> tuple[Volume, dict[int, np.ndarray]]:
    """The array, and the centres with it, turned round under the same header."""
    rows, columns = way
    hu = np.ascontiguousarray(volume.hu[:, :: -1 if columns else 1, :: -1 if rows else 1])
    sign = np.array([1, -1 if columns else 1, -1 if rows else 1])
    start = np.where(sign < 0, np.array(hu.shape) - 1, 0)
    there = {k: voxel_to_mm(volume.affine, start + sign * mm_to_voxel(volume.affine, c)) for k, c in centres.items()}
    return Volume(hu, volume.affine), there


def wrong(volume: Volume, centres: dict[int, np.ndarray]) -> Iterator[tuple[str, dict[int, np.ndarray]]]:
    """Centres that are not the scan's, by what is wrong."""
    labels = sorted(centres, key=craniocaudal_rank)
    places = np.stack([centres[label] for label in labels])
    steps = np.gradient(places, axis=0) if len(places) > 1 else np.array([[0, 0, -25.0]])
    origin, last = volume.affine[:3, 3], np.array(volume.hu.shape) - 1
    moved = {
        "half a step": places + steps / 2,
        "20 mm aside": places + np.array([20, 0, 0]),
        "20 mm to the front": places + np.array([0, 20, 0]),
        "x 0.8": (places - origin) * 0.8 + origin,
        "x 1.25": (places - origin) * 1.25 + origin,
        "mirrored": voxel_to_mm(volume.affine, mm_to_voxel(volume.affine, places) * [1, -1, 1] + [0, last[1], 0]),
        "from the feet": places[::-1],
    }
    for name, there in moved.items():
        yield name, dict(zip(labels, there, strict=True))
    yield "one as T13", {28: centres[labels[-1]]}


def verdict(name: str, case: str, volume: Volume, landmarks: pd.DataFrame, sight: Sight) -> None:
    """Print one line."""
    reason = "-"
    try:
        check_against_image(landmarks, volume, sight, name)
    except Refused as refused:
        reason = refused.reason
    seen = see(volume, landmarks[CENTRE_COLUMNS].to_numpy(float), sight)
    odds = way_odds(seen)
    line = f"{NAMES[int(odds.argmax())]}\t{odds[1:].max():.2f}\t{body_odds(seen.body_logit):.2f}"
    print(f"{name}\t{case}\t{len(landmarks)}\t{reason}\t{line}", flush=True)


def all_cases(scan: Scan, localizer: Localizer | None, sight: Sight) -> None:
    """Print all cases of a scan."""
    name, volume, centres = scan
    for case, way in zip(NAMES, WAYS, strict=True):
        other, there = turned(volume, centres, way)
        if centres:
            verdict(name, f"given, {case}", other, given(there), sight)
        if localizer is None:
            continue
        try:
            found = learned_landmarks(ScanRow(name, name, ""), other, localizer, LocalizeSettings())
        except Refused as refused:
            print(f"{name}\tlearned, {case}\t0\t{refused.reason}\t\t\t", flush=True)
        else:
            verdict(name, f"learned, {case}", other, found, sight)
    for case, there in wrong(volume, centres) if len(centres) > 2 else ():
        verdict(name, case, volume, given(there), sight)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["phantoms", "real"])
    parser.add_argument("--seed", type=int, default=4141)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--scans", type=int, default=60)
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    parser.add_argument("--given-only", action="store_true", help="without the networks that find vertebrae")
    chosen = parser.parse_args()
    networks = None if chosen.given_only else load_localizer(Path("models/localizer"), "cpu")
    weights = load_sight("models/localizer/sight.safetensors")
    scans_here = real(chosen.shared) if chosen.kind == "real" else phantoms(chosen.seed, chosen.first, chosen.scans)
    for one in scans_here:
        all_cases(one, networks, weights)
