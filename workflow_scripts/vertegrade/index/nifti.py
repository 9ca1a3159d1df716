"""NIfTI images to rows of the sample sheet: which are scans, and which masks and centroids belong to them.

Names are BIDS's and VerSe's: `sub-verse401_split-verse253_ct.nii.gz` is scan verse253 of patient verse401, with
`sub-verse401_split-verse253_seg-vert_msk.nii.gz` and `..._seg-vb_ctd.json` (VerSe'19) or `..._seg-subreg_ctd.json`
(VerSe'20) beside it or in `derivatives`. Other images need a mask beside them that is called after them.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from vertegrade.cohort.sheet import IDENTIFIER, ScanRow
from vertegrade.index.found import Found
from vertegrade.index.headers import NiftiHeader, nifti_header
from vertegrade.index.pseudonyms import pseudonym

SUFFIX = re.compile(r"\.nii(\.gz)?$")
# What a mask is called after its scan's name, the best first.
MASKS = re.compile(r"[_-](seg-vert_msk|seg-vert|dseg|msk|mask|seg|segmentation|labels?)$")
CENTROIDS = re.compile(r"_(seg-vb_ctd|seg-subreg_ctd|ctd|poi)\.json$")
NO_SCAN = re.compile(r"(?:^|[_-])(msk|mask|dseg|seg|segmentation|labels?|probseg)$")
VERSE = re.compile(r"(verse|gl)\d{3}", re.IGNORECASE)


def is_annotation(name: str) -> bool:
    """Whether a file is a mask or centroids by its name."""
    return bool(CENTROIDS.search(name)) or bool(SUFFIX.search(name) and NO_SCAN.search(SUFFIX.sub("", name)))


def stem_of(name: str) -> str:
    """The name that a scan and its annotations share: without suffixes, `_ct`, `_seg-vert_msk` and the like."""
    if CENTROIDS.search(name):
        return CENTROIDS.sub("", name)
    stem = SUFFIX.sub("", name)
    return re.sub(r"_ct$", "", MASKS.sub("", stem), flags=re.IGNORECASE)


def add_nifti(paths: Iterable[str], top: Path, key: bytes, found: Found) -> None:
    """Rows of the NIfTI images among the paths (NIfTI and JSON below `top`), with their masks and centroids."""
    annotations: dict[str, list[str]] = defaultdict(list)
    images = []
    for path in sorted(paths):
        name = os.path.basename(path)
        found.files += 1
        if is_annotation(name):
            annotations[stem_of(name)].append(path)
            found.leave_file("annotation")
        elif SUFFIX.search(name):
            images.append(path)
        else:
            found.leave_file("not_dicom")
    taken: dict[str, str] = {}
    keys: dict[str, str] = {}
    for path in images:
        header = nifti_header(Path(path))
        if header is None:
            found.leave_file("unreadable", path)
            continue
        found.slices += 1
        found.images += 1
        reason = _no_scan(path, header, top)
        if reason:
            found.leave_image(reason, path)
            continue
        scan, patient = _ids(path, top, key)
        if scan in taken:
            same = "the same header and size" if keys.get(header.key) == taken[scan] else "another header or size"
            found.leave_image("same_name", path, f"called as {taken[scan]}, which is taken; it has {same}")
            continue
        if header.key in keys:
            found.notes.append(f"{path}: header and size are those of {keys[header.key]}; one image under two names?")
        taken[scan] = path
        keys.setdefault(header.key, path)
        mask, centroids = _beside(path, annotations[stem_of(os.path.basename(path))])
        found.rows.append(ScanRow(scan, patient, path, mask=mask, centroids=centroids))
    unnamed = sum(not _entities(os.path.basename(path)) for path in taken.values())
    if unnamed:
        found.notes.append(f"{unnamed} NIfTI not named `sub-...`: each counts as a patient; correct patient_id")


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
    """BIDS entities of a name (of VerSe's flat layout, verse004.nii.gz, the subject alone), {} where it has no `sub-`,
    or a value that cannot be an id here."""
    stem = stem_of(name)
    if VERSE.fullmatch(stem):
        return {"sub": stem.lower()}
    pairs = [part.split("-", 1) for part in stem.split("_")]
    if not all(len(pair) == 2 and all(map(IDENTIFIER.fullmatch, pair)) for pair in pairs):
        return {}
    entities = dict(pairs)
    return entities if "sub" in entities else {}


def _ids(path: str, top: Path, key: bytes) -> tuple[str, str]:
    """scan_id and patient_id: from BIDS entities, else pseudonyms of the place below `top`."""
    entities = _entities(os.path.basename(path))
    if not entities:
        place = SUFFIX.sub("", Path(path).relative_to(top).as_posix())
        return pseudonym(key, "s", place), pseudonym(key, "p", f"file {place}")
    patient = entities.pop("sub")
    scan = entities.pop("split", patient)
    return "-".join([scan, *(f"{name}-{value}" for name, value in entities.items())]), patient


def _beside(path: str, candidates: list[str]) -> tuple[str, str]:
    """Mask and centroids of an image, "" where there are none: the nearest, then the one whose name says most."""

    def order(candidate: str) -> tuple[int, int, str]:
        shared = len(Path(os.path.commonpath([path, candidate])).parts)
        name = SUFFIX.sub("", os.path.basename(candidate))
        return -shared, 0 if name.endswith(("seg-vert_msk", "seg-vb_ctd.json", "seg-subreg_ctd.json")) else 1, candidate

    masks = sorted((c for c in candidates if not c.endswith(".json")), key=order)
    centroids = sorted((c for c in candidates if c.endswith(".json")), key=order)
    return next(iter(masks), ""), next(iter(centroids), "")
