"""Whether given landmarks can be a spine's at all: where they lie, in which order, how far apart, under which names.

What the image shows there is checked in localizer/sight/against_image.py. The limits were set on phantoms of
all sizes with up to nine fractures and 40 degrees of scoliosis: over 120 patients, ratios of steps are 0.54 to 1.37,
and medians of three 0.61 to 1.31.
"""

from itertools import pairwise

import numpy as np

from vertegrade.ct.volume import Volume, mm_to_voxel
from vertegrade.levels import LABEL_OF, NAMES, craniocaudal_rank
from vertegrade.spine.heights import column_heights
from vertegrade.spine.labelling import step_mm
from vertegrade.spine.level_statistics import level_sizes

T13 = LABEL_OF["T13"]
NEAR_T13 = {LABEL_OF[name] for name in ("T11", "T12", "L1", "L2")}
AXES = ("from side to side", "from front to back")
FLAT = 1.2  # so many times further aside than down lies no spine, not even that of a hunchback
FEW_STEPS = 3
RATIOS, RATIOS_OF_FEW, HEIGHT_RATIOS = (0.6, 1.4), (0.5, 1.55), (0.55, 1.5)
ONE_MM = 0.1  # relative; a ratio so near to the distance of slices says that counts of 1 mm voxels were read


def lies_along(centres_mm: np.ndarray) -> str | None:
    """In which direction centres (n, 3), RAS mm, lie one after the other if not along the body; None if along it."""
    if len(centres_mm) < 2:
        return None
    reach = np.ptp(centres_mm, axis=0)
    axis = int(reach[:2].argmax())
    return AXES[axis] if reach[axis] > FLAT * reach[2] else None


def geometry_problem(centres: dict[int, np.ndarray], volume: Volume) -> str | None:
    """What shows that centres (RAS mm by VerSe label) are not those of the scan's vertebrae, in words; None if nothing.

    Single wrong ones are for `landmarks.implausible`; here the landmarks as a whole are judged.
    """
    labels = sorted(centres, key=craniocaudal_rank)
    inside = [label for label in labels if _inside(centres[label], volume)]
    if 2 * len(inside) <= len(labels):
        return (
            f"{len(labels) - len(inside)} of {len(labels)} centres lie outside the scan: they count voxels of another "
            "image (the centroids of the VerSe challenges count voxels of 1 mm), or the file belongs to another scan"
        )
    if T13 in centres and not NEAR_T13 & set(labels):
        return (
            "T13 (28) is named, but none of its neighbours T11 to L2: in TotalSegmentator's numbering 28 is L4, 27 L5 "
            "and 26 S1 (docs/reference/inputs.md); map such labels to VerSe's"
        )
    steps = [centres[lower][2] - centres[upper][2] for upper, lower in pairwise(labels)]
    if steps and np.median(steps) > 0:
        return (
            f"the labels run from feet to head ({NAMES[labels[0]]} lies below {NAMES[labels[-1]]}): they are of "
            "another numbering (TotalSegmentator's counts from the feet), or head and feet of the file are exchanged"
        )
    return _size_problem(labels, centres, volume)


def _size_problem(labels: list[int], centres: dict[int, np.ndarray], volume: Volume) -> str | None:
    ratios = [
        float(np.linalg.norm(centres[lower] - centres[upper])) / expected_mm(upper, lower, T13 in centres)
        for upper, lower in pairwise(labels)
        if not _may_be_fewer(upper, lower)
    ]
    if not ratios:
        return None
    low, high = RATIOS if len(ratios) >= FEW_STEPS else RATIOS_OF_FEW
    ratio = float(np.median(ratios))
    if low <= ratio <= high:
        return None
    if abs(ratio / volume.spacing_mm[2] - 1) < ONE_MM:
        cause = f"as when counts of 1 mm voxels are read as voxels of {volume.spacing_mm[2]:g} mm"
    elif abs(ratio * volume.spacing_mm[2] - 1) < ONE_MM:
        cause = "as when millimetres or voxels of another image are counted"
    else:
        cause = "their unit is another, labels were left out in counting, or the scan's voxel size is wrong"
    return f"the centres lie {ratio:.2f} times as far apart as the vertebrae that they name: {cause}"


def height_problem(points: dict[int, np.ndarray]) -> str | None:
    """What shows that six points (6, 3), RAS mm by VerSe label, are of no bodies of that level; None if nothing does.

    The largest of a body's three heights counts, which fractures leave.
    """
    known = {label: six for label, six in points.items() if label in level_sizes() and np.isfinite(six).all()}
    if not known:
        return None
    heights = column_heights(np.stack(list(known.values()))).max(axis=1)
    ratio = float(np.median(heights / [_height_mm(label) for label in known]))
    if HEIGHT_RATIOS[0] <= ratio <= HEIGHT_RATIOS[1]:
        return None
    return (
        f"the bodies are {ratio:.2f} times as high as those of their levels: the labels mark something else, or the "
        "scan's voxel size is wrong"
    )


def _height_mm(label: int) -> float:
    size = level_sizes()[label]
    return size.height_posterior_mm * max(1.0, size.ratio_anterior, size.ratio_middle)


def expected_mm(upper: int, lower: int, with_t13: bool = False) -> float:
    """Mean distance along the spine between the body centres of two labels, `upper` nearer to the head, in mm."""
    chain = sorted((label for label in NAMES if label != T13 or with_t13), key=craniocaudal_rank)
    part = chain[chain.index(upper) : chain.index(lower) + 1]
    return sum(step_mm(a, b) for a, b in pairwise(part))


def _may_be_fewer(upper: int, lower: int) -> bool:
    """Whether a healthy person may have fewer vertebrae between two labels than their names say: those without T12."""
    return upper <= LABEL_OF["T11"] and craniocaudal_rank(lower) >= LABEL_OF["L1"] and lower != T13


def _inside(centre_mm: np.ndarray, volume: Volume) -> bool:
    voxel = mm_to_voxel(volume.affine, centre_mm)
    return bool((voxel >= -0.5).all() and (voxel <= np.array(volume.hu.shape) - 0.5).all())
