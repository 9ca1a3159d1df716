"""The checksum at the end of a .gz, which readers of images never reach."""

import gzip
from pathlib import Path

BLOCK = 2**22


def check_gzip(path: str | Path, image_bytes: int) -> None:
    """OSError, EOFError or zlib.error where a gzip's content is not what its checksum says; other files pass.

    nibabel stops at the last voxel: bits that changed on a disk or in a copy would silently be other voxels.
    image_bytes: what the image needs, header included; the rest of a much longer file is not read.
    """
    with open(path, "rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return
    with gzip.open(path) as stream:
        read = 0
        while read <= image_bytes and (block := stream.read(BLOCK)):
            read += len(block)
