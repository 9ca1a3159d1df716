"""Vertebra masks from a segmentation tool that the user has installed: TotalSegmentator or SPINEPS.

The tool runs as its own command line, on the scan alone, in a folder that is deleted afterwards. Its weights must be
installed: proxies that lead nowhere keep it from downloading any and from sending usage statistics. Its label map is
translated to VerSe's labels and then treated like a mask that the sample sheet names. One that the sheet names is
translated alike (localize.mask_labels).

TotalSegmentator (github.com/wasserth/TotalSegmentator, class map `total` of version 2): 26 S1, 27-31 L5-L1, 32-43
T12-T1, 44-50 C7-C1; `--ml` writes one label map to the path after -o. SPINEPS (github.com/Hendrik-code/spineps, 2.0)
with its CT models: VerSe's labels, discs at 100 + label, endplates at 200 + label; `*seg-vert*_msk.nii.gz` appears in a
folder of the given name below the scan's.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vertegrade.annotations.masks import read_mask
from vertegrade.ct.volume import Volume, write_volume
from vertegrade.levels import LABEL_OF, NAMES
from vertegrade.reasons import Refused
from vertegrade.settings.spine import LocalizeSettings

TOTALSEGMENTATOR_IDS = {51 - label: label for label in range(LABEL_OF["C1"], LABEL_OF["L5"] + 1)}
TOTALSEGMENTATOR_LAST = 117  # of all its ids
TOTALSEGMENTATOR_NAMES = [f"vertebrae_{NAMES[label]}" for label in range(LABEL_OF["C1"], LABEL_OF["L5"] + 1)]
SPINEPS_IDS = {label: label for label in NAMES}
OUTPUT = "segmentation"
PROXIES = ["http_proxy", "https_proxy", "all_proxy"]
OFFLINE = dict.fromkeys([*PROXIES, *map(str.upper, PROXIES)], "http://127.0.0.1:9")  # nothing listens at port 9
OFFLINE |= {"no_proxy": "", "NO_PROXY": ""}
LAST_CHARACTERS = 400


@dataclass(frozen=True)
class Tool:
    """A command line and how to read what it writes.

    command: from (CT file, cpu only) to arguments. mask: file pattern below the CT's folder. ids: its label -> VerSe's.
    """

    program: str
    remedy: str
    command: Callable[[Path, bool], list[str]]
    mask: str
    ids: dict[int, int]


def _totalsegmentator(ct: Path, cpu: bool) -> list[str]:
    device = ["--device", "cpu"] if cpu else []
    output = str(ct.parent / f"{OUTPUT}.nii.gz")
    return ["-i", str(ct), "-o", output, "--ml", *device, "--roi_subset", *TOTALSEGMENTATOR_NAMES]


def _spineps(ct: Path, cpu: bool) -> list[str]:
    models = ["-model_semantic", "ct", "-model_instance", "ct_instance", "-model_labeling", "ct_labeling"]
    device = ["-cpu"] if cpu else []
    return ["sample", "-i", str(ct), *models, "-der_name", OUTPUT, "-ignore_inference_compatibility", *device]


TOOLS = {
    "totalsegmentator": Tool(
        "TotalSegmentator",
        "install it (pip install TotalSegmentator) and fetch its weights (totalseg_download_weights -t total)",
        _totalsegmentator,
        f"{OUTPUT}.nii.gz",
        TOTALSEGMENTATOR_IDS,
    ),
    "spineps": Tool(
        "spineps",
        "install it (pip install spineps) and put its CT models (ct, ct_instance, ct_labeling) where "
        "SPINEPS_SEGMENTOR_MODELS points",
        _spineps,
        f"**/{OUTPUT}/**/*seg-vert_*msk.nii.gz",
        SPINEPS_IDS,
    ),
}


def tool_mask(scan_id: str, volume: Volume, settings: LocalizeSettings, device: str) -> np.ndarray:
    """VerSe labels, uint8 (i, j, k) on the volume's voxels, as the tool of `settings.method` segments it."""
    tool = TOOLS[settings.method]
    program = shutil.which(tool.program)
    if program is None:
        raise Refused(
            "tool_missing",
            f"localize.method is {settings.method}, but there is no {tool.program} on the PATH: {tool.remedy}, or "
            "choose another localize.method",
        )
    with tempfile.TemporaryDirectory(prefix="vertegrade-") as folder:
        ct = Path(folder) / "sub-scan_ct.nii.gz"  # the name that SPINEPS requires; it reveals nothing about the scan
        write_volume(ct, volume)
        _run(scan_id, tool, [program, *tool.command(ct, device == "cpu")], Path(folder), settings.tool_minutes)
        made = sorted(Path(folder).glob(tool.mask))
        if len(made) != 1:
            raise Refused("tool_failed", f"scan {scan_id}: {tool.program} wrote {len(made)} masks instead of one")
        labels = read_mask(made[0], volume.hu.shape, volume.affine)
    return _in_verse(labels, tool.ids)


def given_mask(path: str, volume: Volume, settings: LocalizeSettings) -> np.ndarray:
    """VerSe labels, whole numbers (i, j, k) on the volume's voxels, of a mask that the sample sheet names.

    Refused as by `read_mask`; and where a map of TotalSegmentator is asked for, what cannot be one.
    """
    labels = read_mask(path, volume.hu.shape, volume.affine)
    if settings.mask_labels == "verse":
        return labels
    found = set(np.unique(labels).tolist())
    if strange := found - set(range(TOTALSEGMENTATOR_LAST + 1)):
        raise Refused(
            "unknown_label",
            f"{path}: label {min(strange)} is none of TotalSegmentator's (0-{TOTALSEGMENTATOR_LAST}), by which "
            "localize.mask_labels reads masks; set it to verse for masks of VerSe or SPINEPS",
        )
    # 28 alone says nothing: it is their L4 and VerSe's T13
    if not found & (TOTALSEGMENTATOR_IDS.keys() - {LABEL_OF["T13"]}):
        raise Refused(
            "no_vertebrae",
            f"{path}: no vertebra of TotalSegmentator (27 L5 to 50 C1), by which localize.mask_labels reads masks; set "
            "it to verse for masks of VerSe or SPINEPS",
        )
    return _in_verse(labels, TOTALSEGMENTATOR_IDS)


def _in_verse(labels: np.ndarray, ids: dict[int, int]) -> np.ndarray:
    """Labels in VerSe's, uint8; 0 where they are none of the ids."""
    table = np.zeros(max(int(labels.max()), *ids) + 1, np.uint8)
    table[list(ids)] = list(ids.values())
    return table[labels]


def _run(scan_id: str, tool: Tool, command: list[str], folder: Path, minutes: float) -> None:
    """Run the tool in its own process group, so that its workers end with it."""
    log = folder / "tool.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | OFFLINE,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(minutes * 60)
        except subprocess.TimeoutExpired as error:
            raise Refused(
                "tool_failed",
                f"scan {scan_id}: {tool.program} took longer than localize.tool_minutes ({minutes:g}); raise it",
            ) from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status != 0:
        said = log.read_text(encoding="utf-8", errors="replace")[-LAST_CHARACTERS:].strip()
        raise Refused(
            "tool_failed",
            f"scan {scan_id}: {tool.program} ended with status {status}; {tool.remedy}. Its last words: {said}",
        )
