"""Segmentation tools of the user's, played by a program that copies a label map that the test made."""

from pathlib import Path

# It notes how it was called and copies the map to where the real one writes.
FAKE = """#!/bin/sh
echo "$HTTPS_PROXY|$NO_PROXY|$*" > {folder}/seen
/bin/mkdir -p segmentation
/bin/cp {made} {target}
"""
# Where each writes its map, as the program sees it.
TARGETS = {
    "TotalSegmentator": "$4",
    "spineps": "segmentation/sub-scan_mod-ct_seg-vert_msk.nii.gz",
}


def install(folder: Path, name: str, text: str) -> None:
    """A program of that name in a folder that the test puts on the PATH."""
    program = folder / name
    program.write_text(text)
    program.chmod(0o755)


def install_fake(folder: Path, name: str, made: Path) -> None:
    """A tool that gives `made` as its label map, and notes in `seen` how it was called."""
    install(folder, name, FAKE.format(folder=folder, made=made, target=TARGETS[name]))
