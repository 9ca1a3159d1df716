"""Damaged bytes: whatever is broken in a file, its scan ends with a reason that the program foresees."""

import gzip
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from helpers.compressed import compress
from helpers.enhanced import write_enhanced
from helpers.nifti import write_nifti
from helpers.series import body_hu, write_series
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.shard import convert_shard
from vertegrade.settings.ct import CtSettings

TRIES = 50
WORDS = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"NaN ", b"1e99"]
SYNTAXES = {
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG-LS": JPEGLSLossless,
    "JPEG": JPEGLosslessSV1,
    "JPEG 2000": JPEG2000Lossless,
}


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One to five bytes or words changed, lost or put in, most of them in the header."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        end = min(len(changed), 1800) if rng.random() < 0.7 else len(changed)
        at, length = int(rng.integers(0, end)), int(rng.integers(1, 9))
        what = rng.integers(4)
        if what == 0:
            changed[at] ^= 1 << int(rng.integers(8))
        elif what == 1:
            del changed[at : at + length]
        elif what == 2:
            changed[at:at] = rng.bytes(length)
        else:
            changed[at : at + 4] = WORDS[rng.integers(len(WORDS))]
    return bytes(changed)


def source(kind: str, folder: Path) -> Path:
    """A good scan of this kind."""
    if kind.startswith("NIfTI"):
        return write_nifti(folder / f"scan.nii{'.gz' * kind.endswith('gz')}", body_hu(12, 12, 12).astype(np.int16))
    if kind == "enhanced":
        return write_enhanced(folder / "in", body_hu(10, 16, 16))
    series = write_series(folder / "in", body_hu(10, 16, 16))
    for file in series.iterdir() if kind in SYNTAXES else []:
        compress(file, SYNTAXES[kind])
    if kind != "zip":
        return series
    with zipfile.ZipFile(folder / "scan.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(series.iterdir()):
            archive.write(file, file.name)
    return folder / "scan.zip"


def damaged_scans(kind: str, folder: Path, rng: np.random.Generator) -> Iterator[ScanRow]:
    """Scans with one damaged file each; the one before is removed."""
    good = source(kind, folder)
    for number in range(TRIES):
        bad = folder / f"bad{number}{''.join(good.suffixes)}"
        if good.is_dir():
            shutil.copytree(good, bad)
            files = sorted(bad.iterdir())
            file = files[rng.integers(len(files))]
            file.write_bytes(damaged(file.read_bytes(), rng))
        elif good.suffix == ".gz" and number % 2:
            bad.write_bytes(gzip.compress(damaged(gzip.decompress(good.read_bytes()), rng)))
        else:
            bad.write_bytes(damaged(good.read_bytes(), rng))
        yield ScanRow(f"s-{number}", "p", str(bad))
        shutil.rmtree(bad) if bad.is_dir() else bad.unlink()


@pytest.mark.parametrize("kind", ["plain", "enhanced", *SYNTAXES, "zip", "NIfTI", "NIfTI gz"])
def test_damaged_bytes_get_a_reason(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(len(kind))
    (tmp_path / "out").mkdir()
    scans = damaged_scans(kind, tmp_path, rng)
    states = list(convert_shard(scans, tmp_path / "out", CtSettings(memory_mb=1500)))
    assert len(states) == TRIES
    assert not [state["message"] for state in states if state["reason"] == "unexpected_error"]
    reasons = Counter(state["reason"] for state in states)
    assert len(reasons) >= 2
    done = {f"{state['scan_id']}_ct{end}" for state in states if not state["reason"] for end in (".json", ".nii.gz")}
    assert {file.name for file in (tmp_path / "out").iterdir()} == done
