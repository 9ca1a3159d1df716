"""benchmarks/ablation.py: variants differ in what they say and in nothing else, and the figures are what they say."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import ablation_pictures
from ablation_grading import EVERY, cases_of, compared, grade_variant, grading_metrics
from ablation_tables import page
from ablation_training import (
    AutoencoderLearning,
    Clean,
    DiffusionLearning,
    Direct,
    Run,
    SupervisedLearning,
    load_variant,
    min_snr,
    settings_of,
    train_variant,
    training_crops,
)
from ablation_variants import BY_NAME, VARIANTS, Variant
from helpers.runs import ROOT
from helpers.simulated_latents import cohort
from helpers.tiny_dae import MODEL, TRAIN, pixels, states, tiny_crops
from vertegrade.arrays import write_array
from vertegrade.drawn_tables import COLLAPSED_CROPS, LOSSES
from vertegrade.graders.crops import Crops
from vertegrade.graders.dae.diffusion import Around, Diffusion
from vertegrade.graders.dae.training import train_dae
from vertegrade.settings.spine import CropSettings
from vertegrade.tables import LABELS, write_table
from vertegrade.weights import read_weights

SHORT = TRAIN.model_copy(update={"steps": 4})


def tiny_run() -> Run:
    """Twelve crops of three patients, in two shards; the last patient is no training patient."""
    toy = tiny_crops()
    table = pd.DataFrame({"patient_id": [f"p{n}" for n in toy.patient], "vertebra": np.tile(range(18, 22), 3)})
    table = table.assign(scan_id=table["patient_id"] + "-1", evaluable=True, reason="", crop=[*range(8), *range(4)])
    grade = np.digitize(toy.height_loss, [0.2, 0.25, 0.4]).astype(float)
    labels = table.assign(genant_grade=grade, shape="", height_loss=toy.height_loss, usable=True)
    splits = pd.DataFrame({"patient_id": ["p0", "p1", "p2"], "split": ["train", "train", "test"], "origin": "given"})
    arrays = [pixels()[:8], pixels()[8:]]
    columns = [*LABELS.columns]
    return Run(Path(), ["0", "1"], [table[:8], table[8:]], arrays, labels[columns], splits, CropSettings())


def trained(run: Run, name: str, folder: Path, seed: int = 3) -> dict[str, torch.Tensor]:
    train_variant(run, BY_NAME[name], seed, MODEL, SHORT, folder)
    return read_weights(folder / f"{name}.safetensors", name)[0]


def test_steps_are_learned_from_the_crops_of_the_same_vertebra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of patients in another order than that of the shards."""
    (tmp_path / "collapsed").mkdir()
    for shard, patient in enumerate(["p2", "p1"]):
        table = pd.DataFrame({"patient_id": patient, "scan_id": f"{patient}-1", "vertebra": 20, "crop": [0, 1]})
        table = table.assign(shape=["", "wedge"], **{name: [0.0, shard / 4 + 0.25] for name in LOSSES})
        write_table(tmp_path / f"collapsed/{shard}.parquet", table.astype({"vertebra": "int64"}), COLLAPSED_CROPS)
        write_array(tmp_path / f"collapsed/{shard}.npy", np.array([0, shard / 4 + 0.25])[:, None])
    monkeypatch.setattr(ablation_pictures, "encode", lambda dae, arrays, batch: np.concatenate(arrays))
    monkeypatch.setattr(ablation_pictures, "fit_steps", lambda *given: given)
    run = Run(tmp_path, ["0", "1"], [], [], pd.DataFrame(), pd.DataFrame(), CropSettings())
    z, losses, _, patient, _ = ablation_pictures.steps_of(run, SimpleNamespace(sha256=""))  # type: ignore[arg-type, misc]
    assert (losses == z).all()
    assert patient.tolist() == ["p2", "p2", "p1", "p1"]


def test_the_first_variant_is_the_product(tmp_path: Path) -> None:
    """Byte for byte what `train_dae` makes of the same crops, settings, seed and threads."""
    run, threads = tiny_run(), torch.get_num_threads()
    torch.set_num_threads(1)
    ours = trained(run, "dae", tmp_path)
    train_dae(Crops([pixels()[:8]]), MODEL, SHORT, states(tmp_path / "s"), tmp_path / "w.safetensors", 3, "cpu", 1)
    torch.set_num_threads(threads)
    product = read_weights(tmp_path / "w.safetensors", "DAE")[0]
    assert ours.keys() == product.keys()
    assert all(torch.equal(ours[name], product[name]) for name in product)
    assert not [*tmp_path.glob("state-*")]


@pytest.mark.parametrize("name", [v.name for v in VARIANTS if v.kind != "untrained"])
def test_every_variant_learns_from_the_same_start(name: str, tmp_path: Path) -> None:
    run, changed = tiny_run(), BY_NAME[name].model
    found = trained(run, name, tmp_path)
    before = Variant("untrained", "", "untrained", changed)
    train_variant(run, before, 3, MODEL, SHORT, tmp_path)
    start = read_weights(tmp_path / "untrained.safetensors", "untrained")[0]
    encoder = [weight for weight in found if weight.startswith("encoder")]
    assert encoder == [weight for weight in start if weight.startswith("encoder")]
    apart = [float((found[weight] - start[weight]).abs().max()) for weight in encoder]
    assert 0 < max(apart) < 0.1
    dae = load_variant(run, BY_NAME[name], MODEL, SHORT, tmp_path)
    assert all(torch.equal(value, found[key]) for key, value in dae.network.state_dict().items())


def test_all_variants_see_the_same_samples() -> None:
    run = tiny_run()
    crops, _ = training_crops(run)
    seen, x_t, t, _ = DiffusionLearning(BY_NAME["dae-v"], crops, MODEL, TRAIN, 3, "cpu").batch(1)
    plain, x0 = AutoencoderLearning(BY_NAME["autoencoder"], crops, MODEL, TRAIN, 3, "cpu").batch(1)
    noisy, drawn = AutoencoderLearning(BY_NAME["denoising"], crops, MODEL, TRAIN, 3, "cpu").batch(1)
    labelled, grades = training_crops(run, run.labels)
    supervised, above = SupervisedLearning(labelled, grades, MODEL, TRAIN, 3).batch(1)
    torch.testing.assert_close(seen, plain, rtol=0, atol=0)
    torch.testing.assert_close(seen, supervised, rtol=0, atol=0)
    torch.testing.assert_close(x0, drawn, rtol=0, atol=0)
    assert 0.1 < float((noisy - seen).std()) < 1
    signal, sigma = Diffusion(MODEL).amounts(t)
    noise = (x_t - signal * x0) / sigma
    assert abs(float(noise.mean())) < 0.1
    assert abs(float(noise.std()) - 1) < 0.1
    assert set(above.sum(1).tolist()) <= set(grades.tolist())


def test_labels_reach_their_own_crops() -> None:
    run = tiny_run()
    some = run.labels.assign(usable=run.labels["vertebra"] != 19)
    crops, grades = training_crops(run, some)
    kept = [n for n in range(8) if n % 4 != 1]
    np.testing.assert_array_equal(crops.take(np.arange(6)), pixels()[kept])
    np.testing.assert_array_equal(grades, run.labels["genant_grade"].to_numpy()[kept])


def test_settings_of_a_variant_are_checked() -> None:
    model, train = settings_of(BY_NAME["original"], MODEL, TRAIN)
    assert (model.prediction, model.encoder_pool, train.optimiser, train.steps) == ("epsilon", "mean", "adamw", 12)
    assert (model.channels, train.batch_size, train.augment) == (MODEL.channels, TRAIN.batch_size, TRAIN.augment)
    with pytest.raises(ValueError, match="prediction"):
        settings_of(Variant("x", "", "diffusion", {"prediction": "noise"}), MODEL, TRAIN)


def test_predicting_the_crop_is_the_same_process() -> None:
    x0, noise = torch.rand(4, 1, 8, 8), torch.randn(4, 1, 8, 8)
    t = torch.tensor([1, 300, 700, 999])
    clean = Clean(MODEL)
    found = clean.noise_of(clean.target(x0, noise, t), clean.noised(x0, noise, t), t)
    torch.testing.assert_close(found, noise, rtol=1e-2, atol=1e-2)


def test_min_snr_of_v_is_that_of_the_crop() -> None:
    """An error of v by e is one of x_0 by e sigma, at amounts whose squares add to one."""
    snr = torch.tensor([1e-4, 1.0, 5.0, 100.0])
    sigma = (1 / (1 + snr)).sqrt()
    torch.testing.assert_close(min_snr(snr), snr.clamp(max=5) * sigma**2)


def test_an_autoencoder_draws_at_once_and_keeps_what_is_around() -> None:
    image, drawn = torch.full((2, 1, 4, 4), 0.25), torch.zeros(2, 1, 4, 4)
    drawn[:, :, :2] = 1
    asked = []

    def unet(x: torch.Tensor, t: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        asked.append((x, t))
        return z[:, :1, None, None].expand(-1, 1, 4, 4)

    noise, z = torch.randn(2, 1, 4, 4), torch.tensor([[0.5], [-3.0]])
    found = Direct(MODEL).render(unet, noise, z, [999, 800], Around(drawn, image, noise))
    assert len(asked) == 1
    assert not asked[0][0].any()
    assert not asked[0][1].any()
    torch.testing.assert_close(found[:, 0, 0, 0], torch.tensor([0.5, -1.0]))
    torch.testing.assert_close(found[:, 0, 3], torch.full((2, 4), 0.25))


def graded(latents: pd.DataFrame, severity: np.ndarray) -> pd.DataFrame:
    rows = latents[["patient_id", "scan_id", "vertebra"]]
    return rows.assign(severity=severity, grade=np.digitize(severity, [0.5, 1.5, 2.5]))


def test_differences_are_paired_and_means_over_seeds(tmp_path: Path) -> None:
    latents, labels, splits = cohort(patients=40)
    run = Run(Path(), [], [], [], labels, splits, CropSettings())
    truth = labels["height_loss"].to_numpy() * 6
    noise = np.random.default_rng(0).normal(size=(2, len(truth)))
    better = [graded(latents, np.clip(truth + 0.3 * one, 0, 3)) for one in noise]
    worse = graded(latents, np.clip(truth + 3 * noise[0], 0, 3))
    fewer = better[0][better[0]["vertebra"] > 9]
    graded_by = {"dae": dict(enumerate(better, 1)), "autoencoder": {2: worse}, "pca": {EVERY: worse}}
    cases = cases_of(run, graded_by | {"keypoints": {EVERY: fewer}})
    assert {len(table) for tables in cases.values() for table in tables.values()} == {8 * 10}
    found = compared(cases, grading_metrics, "dae")
    first, second = (found["dae"]["seeds"][seed]["auc"] for seed in ("1", "2"))
    assert found["dae"]["mean"]["auc"]["value"] == pytest.approx((first + second) / 2)
    assert first != second
    other = found["pca"]["seeds"]["0"]["auc"]
    less = found["pca"]["less"]["auc"]
    assert less["value"] == pytest.approx((first + second) / 2 - other)
    assert 0 < less["low"] < less["value"] < less["high"]
    assert found["autoencoder"]["less"]["auc"]["value"] == pytest.approx(second - other)
    assert (found["pca"]["seeds_of_less"], found["autoencoder"]["seeds_of_less"]) == ([1, 2], [2])


def test_grades_are_of_the_products_steps(tmp_path: Path) -> None:
    latents, labels, splits = cohort(patients=50, vertebrae=6, dimensions=6)
    run = Run(Path(), [], [], [], labels, splits, CropSettings())
    grade_variant(run, latents, 1.0, 1, tmp_path / "dae-100")
    table = pd.read_parquet(tmp_path / "dae-100.grades.parquet")
    found = compared(cases_of(run, {"dae": {1: table}}), grading_metrics, "dae")
    assert found["dae"]["mean"]["auc"]["value"] > 0.9
    assert {path.name for path in tmp_path.iterdir()} == {
        "dae-100.grades.parquet", "dae-100.hyperplane.json", "dae-100.calibrator.json",
    }  # fmt: skip


@pytest.mark.slow
def test_one_command_goes_on_where_it_was_stopped(finished: Path, tmp_path: Path) -> None:
    """On a finished tiny run: trains, grades, draws and reports, and does nothing twice."""
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "benchmarks/ablation.py"), str(finished / "results"), str(out)]
    command += ["--steps", "2", "--seeds", "1", "--vertebrae", "3", "--only", "autoencoder", "supervised-100"]

    def ran(*more: str) -> str:
        run = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True)
        return run.stderr if run.returncode == 0 else f"failed: {run.stderr[-3000:]}"

    first = ran()
    assert first.count("seed1/dae.json") == first.count("autoencoder.pictures.json") == 1, first
    figures = json.loads((out / "ablation.json").read_text())
    seeds = {name: [*of["seeds"]] for name, of in figures["pictures"].items()}
    assert seeds == {"dae": ["1"], "autoencoder": ["1"], "run": ["0"]}
    assert {*figures["grading_100"]} == {
        "dae", "autoencoder", "supervised-100", "supervised-100, head", "pca", "keypoints", "run",
    }  # fmt: skip
    assert (out / "ablation.md").read_text() == page(figures)
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.parent != out and path.is_file()}
    (out / "seed1/autoencoder.pictures.json").unlink()
    second = ran()
    assert [line.split()[2] for line in second.splitlines() if line.endswith(" s")] == [
        f"{out}/seed1/autoencoder.pictures.json:"
    ]
    changed = {path.name for path, when in made.items() if path.stat().st_mtime_ns != when}
    assert changed == {f"autoencoder.pictures.{kind}" for kind in ("json", "npy", "parquet")}
    assert "other settings" in ran("--steps", "3")
