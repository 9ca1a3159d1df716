"""Pictures as derived secondary captures, with words burnt into their pixels.

The sagittal summary of a scan says RESEARCH USE ONLY; each picture that a model drew says SYNTHETIC.
"""

import textwrap

import numpy as np
import pandas as pd
from highdicom.sc import SCImage
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from vertegrade.export.about import NAME, NOTICE, Maker, series_of
from vertegrade.export.finish import finish
from vertegrade.export.source import Source
from vertegrade.plotting import Pixels, grey_values
from vertegrade.report.montage import mid_sagittal
from vertegrade.report.strips import FONT, watermarked
from vertegrade.settings.report import ReportSettings

LINE = 26  # pixels of a line of text
GAP = 6
CHARACTERS = 90  # of a line at most


def summary_picture(picture: Pixels, lines: list[str]) -> Pixels:
    """The picture of a scan (H, W, 3) with what it is above it, and lines of findings below, broken where too long."""
    lines = [part for line in lines for part in textwrap.wrap(line, CHARACTERS, subsequent_indent="    ")]
    head = f"{NAME}: {NOTICE}"
    font = ImageFont.truetype(str(FONT), LINE - 10)
    image = Image.fromarray(picture)
    width = max(image.width, *(int(font.getlength(line)) + 2 * GAP for line in (head, *lines)))
    sheet = Image.new("RGB", (width, image.height + LINE * (1 + len(lines)) + GAP), "black")
    sheet.paste(image, (0, LINE))
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), head, font=font, fill="yellow")
    for number, line in enumerate(lines):
        draw.text((GAP, image.height + LINE * (1 + number) + GAP), line, font=font, fill="white")
    return np.asarray(sheet)


def strip_picture(images: np.ndarray, pictures: pd.DataFrame, level: str, window: ReportSettings) -> Pixels:
    """The crop of a vertebra and what a model drew of it (2 + T, C, H, W; HU) side by side; every drawn one says so.

    pictures: COUNTERFACTUALS of this vertebra.
    """
    crop, own, *drawn = mid_sagittal(images)
    heads = [f"SYNTHETIC grade {row.wanted_grade}" for row in pictures.sort_values("picture").itertuples()]
    tiles = [
        watermarked(grey_values(crop, window), f"CT {level}"),
        watermarked(grey_values(own, window), "SYNTHETIC copy"),
    ]
    tiles += [watermarked(grey_values(image, window), head) for image, head in zip(drawn, heads, strict=True)]
    return np.concatenate(tiles, axis=1)


def captures_of(pictures: list[tuple[str, str, Pixels]], source: Source, maker: Maker) -> list[tuple[str, Dataset]]:
    """One object per picture (name, what it shows, (H, W, 3) sagittal with the front on the left), in one series."""
    drawn = [_capture(*picture[1:], number, source, maker) for number, picture in enumerate(pictures, start=1)]
    finish("capture", drawn, source, maker)
    return [(name, dataset) for (name, *_), dataset in zip(pictures, drawn, strict=True)]


def _capture(shows: str, pixels: Pixels, number: int, source: Source, maker: Maker) -> Dataset:
    dataset = SCImage.from_ref_dataset(
        ref_dataset=source.first,
        pixel_array=np.ascontiguousarray(pixels),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("P", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **series_of("capture", source.first, maker, number),
    )
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    dataset.DerivationDescription = shows
    dataset.ImageComments = f"{shows}. {NOTICE}."
    dataset.BodyPartExamined = "SPINE"  # without a side
    dataset.BurnedInAnnotation = "NO"  # nothing in it identifies the patient; what is burnt in is what it is
    return dataset
