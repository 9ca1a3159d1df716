"""The scans of a shard as packed slices with their labels."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vertegrade.cohort.hashed_split import hashed_split
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import read_volume
from vertegrade.metastasis.layout.clinical import Case
from vertegrade.metastasis.layout.segmentation import find_segmentation, read_segmentation
from vertegrade.metastasis.slices import (
    Mask,
    clinical_label,
    cut_slices,
    phantom_label,
    read_codes,
    slice_answers,
)
from vertegrade.metastasis.tables import BONE_LABELS, BONE_SLICES
from vertegrade.reasons import Refused
from vertegrade.settings.cohort import SplitSettings
from vertegrade.settings.metastasis import BoneSliceSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Where labels come from: rows of LESION_TRUTH by scan and vertebra with the folder of the codes of lesions, or
    cases of the clinical table.
    """

    truth: Mapping[tuple[str, int], Mapping[str, Any]] | None = None
    codes: Path | None = None
    cases: Mapping[str, Case] = field(default_factory=dict)

    def label(self, row: ScanRow, vertebra: int, cut: bool) -> dict[str, Any] | None:
        """Columns of BONE_LABELS of a vertebra; None where it is none that lesions are drawn into (the neck)."""
        if self.truth is None:
            return clinical_label(self.cases.get(row.patient_id), vertebra, cut)
        drawn = self.truth.get((row.scan_id, vertebra))
        return None if drawn is None else phantom_label(drawn, cut)


@dataclass(frozen=True)
class PackedShard:
    """slices: int16 (V, S, 3, H, W). labels, known: BONE_LABELS and BONE_SLICES. scans: SCANS after this stage."""

    slices: NDArray[np.int16]
    labels: pd.DataFrame
    known: pd.DataFrame
    scans: pd.DataFrame


def pack_shard(
    rows: list[ScanRow],
    volumes: Path,
    scans: pd.DataFrame,
    source: Source,
    settings: BoneSliceSettings,
    splits: SplitSettings,
) -> PackedShard:
    """Cut the vertebrae of all done scans; a scan whose segmentation cannot be used gets a state with the reason."""
    packed: list[NDArray[np.int16]] = []
    labels: list[dict[str, Any]] = []
    known: list[pd.DataFrame] = []
    scans = scans.set_index("scan_id", drop=False)
    for row in rows:
        if scans.loc[row.scan_id, "state"] != "done":
            continue
        try:
            vertebrae = list(_vertebrae(row, volumes, source, settings))
        except Refused as refused:
            scans.loc[row.scan_id, ["state", "reason", "message"]] = [refused.state, refused.reason, refused.message]
            log.warning("%s: %s", row.scan_id, refused.message)
            continue
        for label, slices, heights, cut in vertebrae:
            key: dict[str, Any] = {"patient_id": row.patient_id, "scan_id": row.scan_id, "vertebra": label}
            about = source.label(row, label, cut)
            if about is None:
                continue
            split = hashed_split(row.patient_id, splits)
            labels.append(key | {"row": len(packed), "split": split} | about)
            answers = slice_answers(slices, about, settings)
            known.append(answers.assign(slice=range(len(slices)), z_mm=heights, **key))
            packed.append(slices)
        log.info("%s: %d vertebrae", row.scan_id, len(vertebrae))
    shape = (0, settings.count, 3, settings.size, settings.size)
    none = pd.DataFrame(columns=list(BONE_SLICES.columns))
    return PackedShard(
        np.stack(packed) if packed else np.zeros(shape, np.int16),
        pd.DataFrame(labels, columns=list(BONE_LABELS.columns)),
        pd.concat(known)[list(BONE_SLICES.columns)] if known else none,
        scans.reset_index(drop=True),
    )


def _vertebrae(
    row: ScanRow, volumes: Path, source: Source, settings: BoneSliceSettings
) -> Iterator[tuple[int, NDArray[np.int16], NDArray[np.float64], bool]]:
    mask = Mask(*read_segmentation(find_segmentation(Path(row.path))))
    codes = read_codes(source.codes / f"{row.scan_id}.nii.gz") if source.codes else None
    return cut_slices(read_volume(volumes / f"{row.scan_id}_ct.nii.gz"), mask, codes, settings)
