"""The page of bone quality says what it is of, and shows what was drawn."""

import base64
import html
import io
import re

import numpy as np
import pytest
from PIL import Image

from helpers.bone_page import DATA, TRAINING, WHOLE, page
from helpers.bone_predictions import all_tables, known_of, labels_of
from helpers.bone_vertebrae import labelled_as_published
from vertegrade.metastasis.classes import CLASSES, MULTITASK, NETWORKS, PHANTOM_NOTICE
from vertegrade.metastasis.phantoms.paint import BLASTIC, LYTIC
from vertegrade.metastasis.slices import CODES
from vertegrade.report.metastasis.pictures import LESIONS, answers_text, chosen_vertebrae, picture, shown_slice
from vertegrade.settings.report import ReportSettings


def test_what_it_says() -> None:
    text = page()
    assert "Research use only, not a medical device" in text
    assert text.count(PHANTOM_NOTICE) >= 2
    assert "phantom lesions" in text
    assert "3 done, 1 failed" in text
    heads, macro, by_class, confusions, sides = 1 + 4 + 2 + 1, 5, 4 * 7, 2 * 4, 4  # of each level
    assert text.count("<tr><th") == 2 * (heads + macro + by_class + confusions + sides)
    for word in ("DenseNet-121", "Two tasks", "Macro-F1", "both sides", "mp0001-1, L1"):
        assert word in text
    assert not re.findall(r"https?://", text)


def test_of_real_scans_it_says_nothing_of_phantoms() -> None:
    assert "PHANTOM" not in page(drawn=False)


def test_it_says_why_figures_are_missing() -> None:
    assert 'class="doubt"' not in page()
    data = labelled_as_published(DATA)
    tables = {"drawn": False, "labels": labels_of(data), "known": known_of(data)}
    text = html.unescape(page(**tables))
    assert "none of the test slices is known to be blastic or mixed or lytic" in text
    assert "none of the test vertebrae is known" not in text
    assert "nobody knows which slices of an ill vertebra show its lesion" in text
    assert "nobody knows" not in page(**tables | {"drawn": True})
    assert text.count('it is known as "none" alone') == 2
    assert "<caption>Posterolateral" not in text
    learned = TRAINING[MULTITASK] | {"fused_slices": 0.0, "learned_sides": 0.0}
    text = page(**tables, training=TRAINING | {MULTITASK: learned})
    assert "The network has no MLP of slices" in text
    assert "The network has no MLP of vertebrae" not in text
    assert text.count("The network says nothing of posterolateral involvement") == 2


def test_what_makes_the_classes_is_said() -> None:
    text = page()
    assert "<dt>Two tasks</dt><dd>classes by an MLP that combines its two answers; step 5" in text
    assert "<dt>DenseNet-121</dt><dd>classes by a softmax over the four classes; step 5" in text
    without = {name: value for name, value in TRAINING[MULTITASK].items() if not name.startswith("fused_")}
    for product in (without, without | {"fused_slices": 0.0, "fused_vertebrae": 0.0}):
        text = page(training=TRAINING | {MULTITASK: product})
        assert "<dt>Two tasks</dt><dd>classes by the product of its two answers; step 5" in text


def test_pictures_show_the_slice_with_the_lesion_and_its_outline() -> None:
    data, *_ = all_tables(4)
    data._arrays[0][0][:, CODES] = 0
    data._arrays[0][0][2, CODES, 5:12, 5:12] = LYTIC
    data._arrays[0][0][1, CODES, 5:8, 5:8] = BLASTIC
    assert shown_slice(data, 0) == 2
    uri = picture(data, 0, ReportSettings(), "PHANTOM")
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))
    assert image.shape == (128, 262, 3)
    orange, blue = ((image == LESIONS[kind]).all(axis=-1) for kind in (LYTIC, BLASTIC))
    assert orange[:, 134:].sum() == 4 * 27
    assert not orange[:, :128].any()
    assert not blue.any()


def test_right_and_wrong_ones_are_shown() -> None:
    said = WHOLE[MULTITASK].copy()
    wrong = said["patient_id"].isin(["p001", "p005"])
    said.loc[wrong, "bone_class"] = "normal"
    chosen = DATA.labels.iloc[chosen_vertebrae(DATA, said)]
    assert chosen["bone_class"].value_counts().to_dict() == dict.fromkeys(CLASSES, 3)
    assert (chosen["split"] == "test").all()
    lytic = chosen[chosen["bone_class"] == "lytic"]
    assert lytic["patient_id"].isin(["p001", "p005"]).sum() >= 1
    assert (~lytic["patient_id"].isin(["p001", "p005"])).sum() >= 1


@pytest.mark.parametrize("network", NETWORKS)
def test_answers_in_words(network: str) -> None:
    text = answers_text(WHOLE[network].iloc[3])
    assert text.startswith("lytic (0.70); blastic 0.00, lytic 1.00")
    assert ("posterolateral" in text) is (network == MULTITASK)
