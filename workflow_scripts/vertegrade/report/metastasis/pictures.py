"""Pictures of vertebrae with metastases: an axial slice, the same with what is true of it, and what was answered."""

import base64
import io

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from vertegrade.metastasis.classes import CLASSES, MULTITASK
from vertegrade.metastasis.network.vertebrae import Vertebrae
from vertegrade.metastasis.phantoms.paint import BLASTIC, LYTIC
from vertegrade.metastasis.slices import CODES, HU, INSIDE
from vertegrade.plotting import Pixels, grey_values
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import KEY

OF_EACH = 3  # vertebrae of each class: one that was told right, one that was not, one more
LARGER = 4
GAP = 6
BONE = (255, 255, 255)
LESIONS = {BLASTIC: (86, 180, 233), LYTIC: (230, 159, 0)}  # blue and orange, whatever the eyes


def chosen_vertebrae(vertebrae: Vertebrae, predictions: pd.DataFrame) -> list[int]:
    """Places of test vertebrae to be shown: of each class right and wrong ones in turn, of different patients.

    predictions: of the network of two tasks.
    """
    labels = vertebrae.labels.merge(predictions[[*KEY, "bone_class"]], on=KEY, suffixes=("", "_found"))
    shown: list[int] = []
    for name in CLASSES:
        fitting = labels[(labels["split"] == "test") & labels["usable"] & (labels["bone_class"] == name)]
        right = fitting["bone_class"] == fitting["bone_class_found"]
        queues = [fitting[wanted].drop_duplicates("patient_id").index.tolist() for wanted in (right, ~right)]
        turns = [place for pair in zip(*queues, strict=False) for place in pair]
        rest = [place for queue in queues for place in queue if place not in turns]
        shown += (turns + rest)[:OF_EACH]
    return shown


def shown_slice(vertebrae: Vertebrae, place: int) -> int:
    """The slice with most of a lesion; where none is drawn, the one with most bone."""
    codes, inside = vertebrae.codes(place, CODES), vertebrae.codes(place, INSIDE)
    lesions = np.count_nonzero(codes, axis=(1, 2))
    return int((lesions if lesions.any() else inside.sum(axis=(1, 2))).argmax())


def picture(vertebrae: Vertebrae, place: int, settings: ReportSettings, words: str) -> str:
    """Data URI of a slice beside itself with outlines: of the vertebra white, of lesions in colours. words: on both."""
    at = shown_slice(vertebrae, place)
    hu, inside, codes = (vertebrae.codes(place, channel)[at] for channel in (HU, INSIDE, CODES))
    grey = np.repeat(grey_values(_larger(hu.astype(np.float32), 1), settings)[..., None], 3, axis=2)
    outlined = grey.copy()
    _outline(outlined, inside > 0, BONE)
    for bit, colour in LESIONS.items():
        _outline(outlined, codes & bit > 0, colour)
    gap = np.full((len(grey), GAP, 3), 255, np.uint8)
    image = Image.fromarray(np.concatenate([_marked(grey, words), gap, _marked(outlined, words)], axis=1))
    data = io.BytesIO()
    image.save(data, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"


def _larger(image: NDArray[np.float32], order: int) -> NDArray[np.float32]:
    return np.asarray(ndimage.zoom(image, LARGER, order=order), np.float32)


def _outline(image: Pixels, area: NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    """Draw the edge of an area, which is given in pixels of the slice."""
    large = np.kron(area, np.ones((LARGER, LARGER), bool))
    image[large & ~ndimage.binary_erosion(large)] = colour


def _marked(image: Pixels, words: str) -> Pixels:
    """The image with words in its lower left corner."""
    drawn = Image.fromarray(image)
    ImageDraw.Draw(drawn).text((4, len(image) - 14), words, fill=(255, 230, 120))
    return np.asarray(drawn)


def answers_text(row: pd.Series) -> str:
    """What a network answers for a vertebra: its class, and the probabilities behind it."""
    p = row[f"p_class_{row['bone_class']}"]
    text = f"{row['bone_class']} ({p:.2f}); blastic {row['p_blastic']:.2f}, lytic {row['p_lytic']:.2f}"
    if row["network"] == MULTITASK and pd.notna(row["p_none"]):
        text += f"; posterolateral: none {row['p_none']:.2f}, one side {row['p_one_side']:.2f}"
        text += f", both {row['p_both_sides']:.2f}"
    return text
