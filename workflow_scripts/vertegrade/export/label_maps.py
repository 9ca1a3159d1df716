"""Label maps of the vertebral bodies as NIfTI, in the ids of TotalSegmentator or SPINEPS.

The bodies are those of the DICOM segmentation (`bodies`). They lie on the voxels of the user's file where that is a
NIfTI, otherwise on those of the converted volume: the series' own, unless tilted or uneven slices were resampled. A map
contains no patient.
"""

from pathlib import Path
from xml.etree import ElementTree

import nibabel as nib
import numpy as np

from vertegrade.annotations.masks import DAMAGE
from vertegrade.annotations.tools import SPINEPS_IDS, TOTALSEGMENTATOR_IDS
from vertegrade.arrays import Floats
from vertegrade.ct.nifti_file import NIFTI_NAME, load_nifti
from vertegrade.ct.volume import save_nifti
from vertegrade.export.about import NAME, NOTICE
from vertegrade.export.bodies import drawn_bodies, planes_of
from vertegrade.export.findings import Finding

# By kind of export: VerSe's label -> id of the tool, whose own maps are read by `annotations.tools`.
IDS = {
    "totalsegmentator": {label: number for number, label in TOTALSEGMENTATOR_IDS.items()},
    "spineps": {label: number for number, label in SPINEPS_IDS.items()},
}


def write_label_maps(findings: list[Finding], kinds: frozenset[str], path: Path, converted: Path, folder: Path) -> str:
    """Write KIND.nii.gz into `folder` for each kind that IDS has; return which vertebrae are not in them, and why.

    path: the scan as the sample sheet names it. converted: its canonical volume.
    """
    wanted = sorted(kinds & set(IDS))
    if not wanted:
        return ""
    try:
        image = load_nifti(path if path.is_file() and NIFTI_NAME.search(path.name) else converted)
        shape, affine = image.shape[:3], np.asarray(image.affine, dtype=np.float64)
    except DAMAGE:
        return "no label map: the NIfTI cannot be read again"
    maps, drawn = drawn_bodies(findings, planes_of(shape, affine))
    lost = [finding.level for finding in findings if finding not in drawn]
    told = [f"{level}: no body of it can be drawn" for level in lost]
    for kind in wanted:
        ids = [IDS[kind].get(finding.vertebra, 0) for finding in drawn]
        known = {finding.level: number for finding, number in zip(drawn, ids, strict=True)}
        told += [f"{level}: {kind} has no id for it" for level, number in known.items() if not number]
        if not any(ids):
            told.append(f"no {kind}.nii.gz: no vertebra for it")
            continue
        labels = np.array([0, *ids], dtype=np.uint8)[maps].transpose(2, 1, 0)
        names = {number: f"vertebrae_{level}" for level, number in known.items() if number}
        _write(folder / f"{kind}.nii.gz", labels, affine, names if kind == "totalsegmentator" else {})
    return "; ".join(told)


def _write(path: Path, labels: np.ndarray, affine: Floats, names: dict[int, str]) -> None:
    """Write labels, uint8 (i, j, k), with their affine to RAS mm and the names of ids: same labels, same bytes."""
    image = nib.Nifti1Image(labels, None, dtype=np.uint8)
    if names:
        image.header.extensions.append(_names(names))
    save_nifti(path, image, affine, f"{NAME}: {NOTICE}")


def _names(names: dict[int, str]) -> nib.nifti1.Nifti1Extension:
    """Names of ids where TotalSegmentator's `load_multilabel_nifti` looks for them, which fails without any."""
    root = ElementTree.Element("CaretExtension")
    volume = ElementTree.SubElement(root, "VolumeInformation", Index="0")
    table = ElementTree.SubElement(volume, "LabelTable")
    for number, name in names.items():
        ElementTree.SubElement(table, "Label", Key=str(number)).text = name
    ElementTree.SubElement(volume, "VolumeType").text = "Label"
    return nib.nifti1.Nifti1Extension(0, ElementTree.tostring(root, encoding="utf-8"))
