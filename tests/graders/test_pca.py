"""The PCA baseline: principal components of windowed crops, found without having all crops in memory."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from vertegrade.graders import pca
from vertegrade.graders.crops import Crops
from vertegrade.graders.pca import encode_pca, fit_pca, flatten, load_pca, save_pca
from vertegrade.graders.pca_map import pca_maps
from vertegrade.grading.rows import GradingError
from vertegrade.tables import LATENTS, check_table

WINDOW = (-150.0, 850.0)


def crops_of(count: int, seed: int = 0) -> np.ndarray:
    """Crops (count, 2, 6, 7) in HU that vary along two patterns."""
    random = np.random.default_rng(seed)
    patterns = np.random.default_rng(42).normal(size=(2, 2, 6, 7))
    return (350 + 80 * np.tensordot(random.normal(size=(count, 2)), patterns, 1)).astype(np.int16)


def some(count: int, seed: int = 0) -> Crops:
    return Crops([crops_of(count, seed)])


def test_window_ends_are_minus_one_and_one() -> None:
    pixels = np.array([-1024, -150, 350, 850, 3000], dtype=np.int16).reshape(1, 1, 1, 5)
    np.testing.assert_allclose(flatten(pixels, WINDOW), [[-1, -1, 0, 1, 1]])


def test_pca_finds_the_patterns_and_is_deterministic() -> None:
    one, two = (fit_pca(some(80), 5, WINDOW, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.components, two.components)
    scores = one.encode(some(40, seed=9))
    assert scores.shape == (40, 5)
    assert scores[:, 2:].std() < 0.05 * scores[:, :2].std()


def test_pca_keeps_fewer_components_than_crops() -> None:
    assert len(fit_pca(some(5), 64, WINDOW, seed=0).components) == 4


def test_pca_of_too_few_crops_is_a_clear_error() -> None:
    with pytest.raises(GradingError, match="at least three evaluable training crops, there are 2"):
        fit_pca(some(2), 64, WINDOW, seed=0)


def test_pca_refuses_crops_of_another_shape() -> None:
    with pytest.raises(GradingError, match="fit it again"):
        fit_pca(some(9), 4, WINDOW, seed=0).encode(Crops([np.zeros((1, 1, 6, 7), np.int16)]))


def test_pca_latents_follow_the_crops_table(tmp_path: Path) -> None:
    save_pca(tmp_path / "pca.safetensors", fit_pca(some(30), 4, WINDOW, seed=0))
    pixels = crops_of(3, seed=7)
    crops = pd.DataFrame({"patient_id": "p", "scan_id": "s", "vertebra": [10, 8], "crop": [2, 0]})
    crops = crops.assign(evaluable=[True, False], reason=["", "outside_scan"])
    table = encode_pca(tmp_path / "pca.safetensors", pixels, crops)
    check_table(table, LATENTS, "latents")
    expected = load_pca(tmp_path / "pca.safetensors").encode(Crops([pixels]))
    np.testing.assert_array_equal(np.stack(table["z"].tolist()), expected[[2, 0]])
    assert table["reason"].tolist() == ["", "outside_scan"]


def test_pca_files_of_the_same_fit_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_pca(tmp_path / name, fit_pca(some(30), 4, WINDOW, seed=0))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("count", [40, 200])  # fewer crops than the 84 pixels of each, and more
def test_components_of_one_block_are_those_of_scikit_learn(count: int) -> None:
    known = PCA(5, svd_solver="randomized", random_state=3).fit(flatten(crops_of(count), WINDOW))
    found = fit_pca(some(count), 5, WINDOW, seed=3)
    np.testing.assert_array_equal(found.components, known.components_)
    np.testing.assert_array_equal(found.mean, known.mean_)


@pytest.mark.parametrize("count", [40, 200])
def test_blocks_change_only_the_last_digits(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    one = fit_pca(some(count), 2, WINDOW, seed=3)
    monkeypatch.setattr(pca, "BLOCK", 4 * 84 * 9)
    several = fit_pca(some(count), 2, WINDOW, seed=3)
    assert not np.array_equal(several.components, one.components)  # there were blocks
    np.testing.assert_allclose(several.components, one.components, atol=1e-5)
    np.testing.assert_allclose(several.encode(some(30)), one.encode(some(30)), atol=1e-4)


@pytest.mark.parametrize("count", [40, 200])
def test_scores_are_those_of_scikit_learn(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    known = PCA(5, svd_solver="randomized", random_state=3).fit(flatten(crops_of(count), WINDOW))
    new = crops_of(30, seed=8)
    wanted = known.transform(flatten(new, WINDOW))
    np.testing.assert_allclose(fit_pca(some(count), 5, WINDOW, seed=3).encode(Crops([new])), wanted, atol=1e-4)
    monkeypatch.setattr(pca, "BLOCK", 4 * 84 * 9)  # the last block is shorter
    in_blocks = fit_pca(some(count), 5, WINDOW, seed=3)
    np.testing.assert_allclose(in_blocks.mean, known.mean_, atol=1e-5)
    np.testing.assert_allclose(in_blocks.encode(Crops([new]))[:, :2], wanted[:, :2], atol=1e-3)


def test_the_map_of_a_linear_model_adds_up_to_its_scores() -> None:
    random = np.random.default_rng(5)
    fitted = pca.CropPca(random.normal(size=48).astype(np.float32), random.normal(size=(3, 48)).astype(np.float32),
                  (0.0, 400.0), (3, 4, 4))  # fmt: skip
    pixels = random.integers(-100, 500, (5, 3, 4, 4)).astype(np.int16)
    direction = np.array([1.0, -2.0, 0.5])
    averages = flatten(np.full((5, 3, 4, 4), 150, np.int16), fitted.window)
    maps = pca_maps(fitted, direction, pixels, averages)
    apart = fitted.encode(Crops([pixels])) - fitted.encode(Crops([np.full((5, 3, 4, 4), 150, np.int16)]))
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), apart @ direction, rtol=1e-4)
    pixels[:, 1, 2, 3] = 150  # a pixel like the average has no part in it, in its own slice alone
    weight = (direction @ fitted.components).reshape(3, 4, 4)
    shown = flatten(pixels, fitted.window).reshape(5, 3, 4, 4) - averages[0, 0]
    np.testing.assert_allclose(
        pca_maps(fitted, direction, pixels, averages)[:, 2, 3],
        (shown * weight)[:, [0, 2], 2, 3].sum(axis=1), rtol=1e-4, atol=1e-5,
    )  # fmt: skip
