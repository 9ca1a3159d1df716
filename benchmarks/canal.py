"""How far the spinal canal that is found lies from the true one, on phantoms that taught nothing and on real CT.

    .venv/bin/python benchmarks/canal.py --shared ../shared/data

Phantoms: the truth is where the canal was drawn. Real CT: the middle of the hole that a vertebra of the scan's own mask
encloses in an axial slice, between pedicles and laminae; slices without a closed ring have no truth. The distance is
that within the axial slice. LIDC-IDRI-0001 comes from `python tests/helpers/lidc.py`, others from a folder of yours.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage

from real_ct import scans
from vertegrade.arrays import Floats
from vertegrade.ct.volume import Volume, voxel_to_mm
from vertegrade.localizer.canal.find import Canal, find_canal, load_canal
from vertegrade.phantom.anatomy.canal import canal_places
from vertegrade.phantom.training_scan import learning_patient, learning_scan
from vertegrade.reasons import Refused

HOLE_MM2 = 60.0, 900.0  # area of a canal in an axial slice


def holes(labels: np.ndarray, affine: np.ndarray) -> Floats:
    """Middles (n, 3), RAS mm, of the canal in the axial slices in which a vertebra of a mask encloses it."""
    found = []
    area = float(np.linalg.norm(affine[:3, 0]) * np.linalg.norm(affine[:3, 1]))
    for k in range(labels.shape[2]):
        for label in np.unique(labels[:, :, k][labels[:, :, k] > 0]):
            bone = labels[:, :, k] == label
            parts, count = ndimage.label(ndimage.binary_fill_holes(bone) & ~bone)
            sizes = ndimage.sum_labels(np.ones_like(parts), parts, np.arange(1, count + 1)) * area
            if count and HOLE_MM2[0] < sizes.max() < HOLE_MM2[1]:
                middle = ndimage.center_of_mass(parts == 1 + int(sizes.argmax()))
                found.append(voxel_to_mm(affine, np.array([*middle, k])))
    return np.array(found).reshape(-1, 3)


def distances(canal: Canal, truth: Floats) -> Floats:
    """mm within the axial slice from the found curve to the places of `truth` (n, 3) between its ends."""
    arcs = np.arange(canal.start_arc_mm, canal.end_arc_mm, 0.5)
    curve, _ = canal.line.at(arcs)
    within = (truth[:, 2] <= curve[0, 2]) & (truth[:, 2] >= curve[-1, 2])
    falling = curve[::-1]
    at = np.stack([np.interp(truth[within, 2], falling[:, 2], falling[:, axis]) for axis in (0, 1)], axis=1)
    return np.linalg.norm(at - truth[within, :2], axis=1)


def report(name: str, volume: Volume, truth: Floats, weights: Path) -> Floats:
    """Print and return the distances of one scan; what of the truth in the scan lies beyond the curve is counted."""
    try:
        canal = find_canal(volume, load_canal(weights, "cpu"), "cpu")
    except Refused as refusal:
        print(f"{name}: {refusal}")
        return np.zeros(0)
    off = distances(canal, truth)
    shares = f"{len(off)} of {len(truth)} places of the truth, {canal.sure} of {canal.slices} slices sure"
    if len(off):
        print(f"{name}: mean {off.mean():.2f} mm, 95 % {np.quantile(off, 0.95):.2f}, most {off.max():.2f}; {shares}")
    return off


def phantom(seed: int, number: int) -> tuple[Volume, Floats]:
    """A phantom scan, and the canal's places that lie in it, from C3 to S3."""
    volume, _ = learning_scan(seed, number)
    places = canal_places(learning_patient(seed, number))[:-3]
    voxels = (places - volume.affine[:3, 3]) @ np.linalg.inv(volume.affine[:3, :3]).T
    inside = ((voxels >= 0) & (voxels <= np.array(volume.hu.shape) - 1)).all(axis=1)
    return volume, places[inside]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, help="folder with verse014 and totalsegmentator_example")
    parser.add_argument("--weights", type=Path, default=Path("models/localizer/canal.safetensors"))
    parser.add_argument("--phantoms", type=int, default=24)
    parser.add_argument("--seed", type=int, default=43)
    given = parser.parse_args()
    off = {
        number: report(f"phantom {number}", *phantom(given.seed, number), given.weights)
        for number in range(given.phantoms)
    }
    for kind, odd in (("of the default cohort's kind", 0), ("hard", 1)):
        mine = np.concatenate([np.zeros(0), *(value for number, value in off.items() if number % 2 == odd)])
        print(f"phantoms {kind}: mean {mine.mean():.2f} mm, 95 % {np.quantile(mine, 0.95):.2f} mm, {len(mine)} places")
    for name, (volume, labels) in scans(given.shared).items():
        report(name, volume, holes(labels, volume.affine), given.weights)
