"""NIfTI images to rows of the sample sheet: which are scans, and which masks and centroids belong to them.

Names are BIDS's and VerSe's, of both releases and both layouts (`cohort.verse_names`): scan verse253 of patient
verse401 is `sub-verse401_split-verse253_ct.nii.gz`, `verse253.nii.gz` or `verse401_verse253_CT-iso.nii.gz`; its
annotations (`_seg-vert_msk.nii.gz`, `_seg-vb_ctd.json`, `_seg-subreg_ctd.json`, `_seg.nii.gz`) lie next to it or in
`derivatives`. Other images need a mask in the same folder that is named after them: many folders contain a `ct.nii.gz`.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from vertegrade.annotations.verse import centroid_labels
from vertegrade.cohort.sheet import IDENTIFIER, ScanRow
from vertegrade.cohort.verse_names import official_split, verse_ids
from vertegrade.ct.nifti_file import NIFTI_NAME
from vertegrade.index.found import Found
from vertegrade.index.headers import NiftiHeader, nifti_content, nifti_header
from vertegrade.index.pseudonyms import pseudonym
from vertegrade.reasons import Refused

# What follows the scan's name in a mask's name, the best first.
MASKS = re.compile(r"[_-](seg-vert_msk|seg-vert|dseg|msk|mask|seg|segmentation|labels?)$")
CENTROIDS = re.compile(r"[_-](seg-vb_ctd|seg-subreg_ctd|iso-ctd|ctd-iso|ctd|poi)\.json$")
MILLIMETRES = re.compile(r"[_-](iso-ctd|ctd-iso)\.json$")
NO_SCAN = re.compile(r"(?:^|[_-])(msk|mask|dseg|seg|segmentation|labels?|probseg)$")
SUBJECT_FOLDER = re.compile(r"sub-([A-Za-z0-9-]+)")


class Annotation(NamedTuple):
    """A mask or a centroid file that can be read. sizes: the mask's numbers of voxels, in order of size."""

    path: str
    sizes: list[int]


def is_annotation(name: str) -> bool:
    """Whether a file is a mask or centroids by its name."""
    return bool(CENTROIDS.search(name)) or bool(NIFTI_NAME.search(name) and NO_SCAN.search(NIFTI_NAME.sub("", name)))


def stem_of(name: str) -> str:
    """The name that a scan and its annotations share: without suffixes, `_ct`, `_seg-vert_msk` and similar."""
    if CENTROIDS.search(name):
        return CENTROIDS.sub("", name)
    stem = NIFTI_NAME.sub("", name)
    return re.sub(r"_ct$", "", MASKS.sub("", stem), flags=re.IGNORECASE)


def add_nifti(paths: Iterable[str], top: Path, key: bytes, found: Found) -> None:
    """Rows of the NIfTI images among the paths (NIfTI and JSON below `top`), with their masks and centroids."""
    images, annotations = _sorted_out(paths, found)
    scans, broken = _scans(images, top, found)
    owned = _owned([*scans, *broken], annotations, found)
    taken: dict[str, str] = {}
    keys: dict[str, str] = {}
    for path, header in scans.items():
        scan, patient = _ids(path, top, key)
        if scan in taken:
            same = "the same header and size" if keys.get(header.key) == taken[scan] else "another header or size"
            found.leave_image("same_name", path, f"named like {taken[scan]}, which is taken; it has {same}")
            continue
        if header.key in keys:
            found.notes.append(f"{path}: header and size are those of {keys[header.key]}; one image under two names?")
        taken[scan] = path
        found.contents[scan] = header.content
        keys.setdefault(header.key, path)
        mask, centroids = _beside(path, header, owned[_place(path)])
        split = official_split(Path(path).relative_to(top.parent).parts[:-1], patient)
        found.rows.append(ScanRow(scan, patient, path, mask=mask, centroids=centroids, split=split))
    unnamed = sum(not _subject(path, top) for path in taken.values())
    if unnamed:
        found.notes.append(
            f"{unnamed} NIfTI neither named `sub-...` nor in a folder so named: each counts as a patient; correct "
            "patient_id where a person has more scans"
        )


def _scans(images: Iterable[str], top: Path, found: Found) -> tuple[dict[str, NiftiHeader], list[str]]:
    """Headers of the images that may be scans, and the images that cannot be read."""
    scans: dict[str, NiftiHeader] = {}
    broken = []
    for path in images:
        header = nifti_header(Path(path))
        content = nifti_content(Path(path)) if header else None
        if header is None or content is None:
            found.leave_file("unreadable", path)
            broken.append(path)
            continue
        found.slices += 1
        found.images += 1
        if reason := _no_scan(path, header, top):
            found.leave_image(reason, path)
        else:
            scans[path] = header._replace(content=content)
    return scans, broken


def _owned(images: Iterable[str], annotations: Iterable[Annotation], found: Found) -> dict[str, list[Annotation]]:
    """The annotations of each image (by `_place`): each is of one image alone, but where VerSe's names say the series.

    The nearest image has it, then the one whose whole name its name begins with. Where this does not decide, nobody has
    it: the mask of another patient is worse than none.
    """
    by_name: dict[str, set[str]] = defaultdict(set)
    for path in images:
        by_name[_shared_name(path)].add(_place(path))
    owned: dict[str, list[Annotation]] = defaultdict(list)
    alone = []
    for annotation in annotations:
        places = by_name[_shared_name(annotation.path)]
        if not verse_ids(stem_of(os.path.basename(annotation.path))):
            near = {place: _nearness(place, annotation.path) for place in places}
            places = {place for place in places if near[place] == max(near.values())}
            if len(places) != 1:
                alone.append(annotation.path)
                continue
        for place in places:
            owned[place].append(annotation)
    if alone:
        found.notes.append(
            f"{len(alone)} masks or centroids belong to no image, or to several equally, and are ignored: {alone[0]}; "
            "put each next to its image and name it after it (`NAME_seg.nii.gz`), or name both as BIDS does (`sub-...`)"
        )
    return owned


def _nearness(place: str, annotation: str) -> tuple[int, bool]:
    """Folders that an image (`_place`) and an annotation share, and whether this has the whole name of that."""
    name = os.path.basename(annotation)
    bare = CENTROIDS.sub("", name) if CENTROIDS.search(name) else MASKS.sub("", NIFTI_NAME.sub("", name))
    return len(Path(os.path.commonpath([place, annotation])).parts), bare == os.path.basename(place)


def _place(path: str) -> str:
    """A NIfTI without its suffixes: `ct.nii` and `ct.nii.gz` of one folder are one image."""
    return os.path.join(os.path.dirname(path), NIFTI_NAME.sub("", os.path.basename(path)))


def _sorted_out(paths: Iterable[str], found: Found) -> tuple[list[str], list[Annotation]]:
    """Images, and the annotations that can be used."""
    images, annotations, unusable = [], [], []
    for path in sorted(paths):
        name = os.path.basename(path)
        found.files += 1
        if is_annotation(name):
            sizes, problem = _looked_at(path)
            if problem:
                unusable.append(f"{path}: {problem}")
            else:
                annotations.append(Annotation(path, sizes))
            found.leave_file("annotation", path if problem else "", problem)
        elif NIFTI_NAME.search(name):
            images.append(path)
        else:
            found.leave_file("not_dicom")
    if unusable:
        found.notes.append(f"{len(unusable)} masks or centroids cannot be used and are ignored: {unusable[0]}")
    return images, annotations


def _looked_at(path: str) -> tuple[list[int], str]:
    """Sizes of a mask (none of centroids), and why the annotation cannot be used: "" where it can."""
    if not path.endswith(".json"):
        header = nifti_header(Path(path))
        return (sorted(header.shape[:3]), "") if header else ([], "not a NIfTI in spite of its name, or damaged")
    if MILLIMETRES.search(path):
        return [], "counts millimetres, not the scan's voxels (layout of the MICCAI challenge); its mask says the same"
    try:
        centroid_labels(path)
    except Refused as refusal:
        return [], refusal.message.removeprefix(f"{path}: ")
    return [], ""


def _shared_name(path: str) -> str:
    """What an image and its annotations share: VerSe's series, whose files name the plane variously, or the stem.

    A stem that names no subject says something within its folder alone.
    """
    folder, name = os.path.split(path)
    stem = stem_of(name)
    if ids := verse_ids(stem):
        return f"series {ids[1]}"
    return stem if _entities(name) else os.path.join(folder, stem)


def _no_scan(path: str, header: NiftiHeader, top: Path) -> str:
    if "derivatives" in Path(path).relative_to(top).parts[:-1]:
        return "derivative"
    name = stem_of(os.path.basename(path))
    if name.startswith("sub-") and "-" not in name.rsplit("_", 1)[-1]:
        return "not_ct_name"
    if len(header.shape) < 3 or any(size != 1 for size in header.shape[3:]):
        return "not_3d"
    return "not_ct_values" if header.dtype in ("u1", "i1") or header.dtype[0] not in "iuf" else ""


def _entities(name: str) -> dict[str, str]:
    """BIDS entities of a name, {} where it has no `sub-`, or a value that cannot be an id here."""
    pairs = [part.split("-", 1) for part in stem_of(name).split("_")]
    if not all(len(pair) == 2 and all(map(IDENTIFIER.fullmatch, pair)) for pair in pairs):
        return {}
    entities = dict(pairs)
    return entities if "sub" in entities else {}


def _subject(path: str, top: Path) -> str:
    """The patient by the names: VerSe's, else the entity `sub-` of the file or a folder below `top`; "" if none."""
    name = os.path.basename(path)
    if ids := verse_ids(stem_of(name)):
        return ids[0]
    if entities := _entities(name):
        return entities["sub"]
    folders = reversed(Path(path).relative_to(top).parts[:-1])
    return next((found[1] for found in map(SUBJECT_FOLDER.fullmatch, folders) if found), "")


def _ids(path: str, top: Path, key: bytes) -> tuple[str, str]:
    """scan_id and patient_id: from VerSe's or BIDS's names, else pseudonyms of the place below `top`."""
    name = os.path.basename(path)
    place = NIFTI_NAME.sub("", Path(path).relative_to(top).as_posix())
    patient = _subject(path, top) or pseudonym(key, "p", f"file {place}")
    if ids := verse_ids(stem_of(name)):
        return ids[1], patient
    entities = _entities(name)
    if not entities:
        return pseudonym(key, "s", place), patient
    scan = entities.pop("split", entities.pop("sub"))
    return "-".join([scan, *(f"{name}-{value}" for name, value in entities.items())]), patient


def _beside(path: str, header: NiftiHeader, candidates: list[Annotation]) -> tuple[str, str]:
    """Mask (of as many voxels) and centroids of an image, "" where there are none: the nearest, then the one whose name
    says most."""

    def order(candidate: str) -> tuple[int, int, str]:
        shared = len(Path(os.path.commonpath([path, candidate])).parts)
        name = NIFTI_NAME.sub("", os.path.basename(candidate))
        return -shared, 0 if name.endswith(("seg-vert_msk", "seg-vb_ctd.json", "seg-subreg_ctd.json")) else 1, candidate

    sizes = sorted(header.shape[:3])
    masks = sorted((one.path for one in candidates if one.sizes == sizes), key=order)
    centroids = sorted((one.path for one in candidates if not one.sizes), key=order)
    return next(iter(masks), ""), next(iter(centroids), "")
