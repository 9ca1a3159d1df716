"""Images as data URIs, so that a page is one file that can be mailed and archived."""

import base64
import io
from pathlib import Path

from PIL import Image

from vertegrade.plotting import Pixels

MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def data_uri(path: Path) -> str:
    """An image file (.svg, .png)."""
    return _uri(path.read_bytes(), MEDIA_TYPES[path.suffix])


def png_uri(image: Pixels) -> str:
    """Grey values `(H, W)` as PNG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return _uri(file.getvalue(), MEDIA_TYPES[".png"])


def _uri(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
