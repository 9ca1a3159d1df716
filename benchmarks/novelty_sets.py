"""The vertebrae that `novelty.py` compares ways on: of a run, with planted strangeness, and of real CT."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch

from strange_crops import planted
from vertegrade.arrays import Floats
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, read_volume, to_ras
from vertegrade.graders.dae.encoding import encode
from vertegrade.graders.dae.pixels import hounsfield, windowed
from vertegrade.graders.dae.weights import Dae, load_dae
from vertegrade.graders.keypoints.latents import keypoint_latents
from vertegrade.graders.pca import load_pca
from vertegrade.grading.appearance import appearance
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.grade_scale import grade_of
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.rows import stack_errors, stack_latents
from vertegrade.localizer.landmarks import learned_landmarks
from vertegrade.localizer.networks import load_localizer
from vertegrade.methods import INTACT_HEIGHTS
from vertegrade.settings.spine import CropSettings, LocalizeSettings
from vertegrade.spine.crop import crop_scan
from vertegrade.spine.foreign import without_foreign
from vertegrade.spine.indices import measure
from vertegrade.spine.intact_heights import read_intact_heights
from vertegrade.tables import CROPS, KEY, LABELS, LATENTS, PATIENT_SPLITS, read_table, read_tables

NOISE_LEVELS = {"reconstruction": 999, "denoising": 400}  # of 1000: at the first, only the latent knows the crop
ORGAN_MM = 60.0  # in front of the spine
PER_PATIENT = 2


@dataclass(frozen=True)
class Vertebrae:
    """Evaluable vertebrae with what ways to tell may look at.

    table: a row each (CROPS, and `genant_grade` and `split` where known). pixels (N, S, H, W). z (N, D) latents. x (N,
    LENGTH) appearance. severity (N,) as predicted. latents: LATENTS of the same rows, where the set is a run's.
    """

    table: pd.DataFrame
    pixels: np.ndarray
    z: Floats
    x: Floats
    severity: Floats
    dae: Dae
    latents: pd.DataFrame

    @property
    def truth(self) -> Floats:
        """True grades (N,)."""
        return self.table["genant_grade"].to_numpy(float)

    @property
    def grade(self) -> np.ndarray:
        """Predicted grades (N,)."""
        return grade_of(self.severity)

    @functools.cached_property
    def errors(self) -> pd.DataFrame:
        """Errors of the DAE's guess of each crop from its noisy version, by name; computed once."""
        return pd.DataFrame({name: guess_errors(self.dae, self.pixels, level) for name, level in NOISE_LEVELS.items()})

    def rows(self, which: np.ndarray) -> "Vertebrae":
        """Some of them, by a mask or by numbers."""
        numbers = np.arange(len(self.table))[which]
        table, latents = self.table.iloc[numbers].reset_index(drop=True), self.latents
        arrays = {name: getattr(self, name)[numbers] for name in ("pixels", "z", "x", "severity")}
        latents = latents.iloc[numbers].reset_index(drop=True) if len(latents) else latents
        return replace(self, table=table, latents=latents, **arrays)

    def of_split(self, split: str) -> "Vertebrae":
        """Those of one split."""
        return self.rows((self.table["split"] == split).to_numpy())

    def with_rows_of(self, other: "Vertebrae") -> "Vertebrae":
        """These and others."""
        arrays = {n: np.concatenate([getattr(self, n), getattr(other, n)]) for n in ("pixels", "z", "x", "severity")}
        tables = {n: pd.concat([getattr(self, n), getattr(other, n)], ignore_index=True) for n in ("table", "latents")}
        return replace(self, **tables, **arrays)

    def appearance_table(self) -> pd.DataFrame:
        """APPEARANCE."""
        return self.table[["patient_id", *KEY, "crop"]].assign(x=list(self.x))


@dataclass(frozen=True)
class Grader:
    """A method of a finished run."""

    results: Path
    method: str
    plane: Hyperplane
    calibration: Calibration

    @functools.cached_property
    def dae(self) -> Dae:
        """The run's DAE."""
        return load_dae(self.results / "dae/weights.safetensors")

    def latents_of(self, pixels: np.ndarray, known: Floats) -> Floats:
        """Latents of crops (N, S, H, W); of `keypoints`, which sees no pixels, the known ones."""
        if self.method == "dae":
            return encode(self.dae, [pixels], 64).astype(np.float64)
        if self.method == "pca":
            return load_pca(self.results / "pca/components.safetensors").encode(pixels).astype(np.float64)
        return known

    def vertebrae(self, table: pd.DataFrame, pixels: np.ndarray, z: Floats, latents: pd.DataFrame) -> Vertebrae:
        """A set with appearance and predicted severity."""
        errors = stack_errors(latents) if len(latents) == len(z) else np.zeros((len(z), 0, z.shape[1]))
        severity = self.calibration.predict_measured(z, errors, self.plane).severity
        return Vertebrae(table, pixels, z, appearance(pixels), severity, self.dae, latents)


def guess_errors(dae: Dae, pixels: np.ndarray, level: int, batch: int = 32) -> Floats:
    """Mean square error (N,), window units, of what the U-Net takes crops for that are noised to one level."""
    noise = torch.randn((1, 1, *dae.crop_shape[1:]), generator=torch.Generator().manual_seed(0))
    found = []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch):
            x0 = windowed(hounsfield(pixels[start : start + batch], dae.settings), dae.settings)
            t = torch.full((len(x0),), level)
            x_t = dae.diffusion.noised(x0, noise.expand_as(x0), t)
            said = dae.diffusion.noise_of(dae.network.unet(x_t, t, dae.network.encoder(x0)), x_t, t)
            signal, sigma = dae.diffusion.amounts(t)
            guess = ((x_t - sigma * said) / signal).clamp(-1, 1)
            found.append((guess - x0).square().mean(dim=(1, 2, 3)).double().numpy())
    return np.concatenate(found)


def shards(folder: Path) -> list[str]:
    """Of a run."""
    return sorted(path.stem for path in folder.glob("crops/*.parquet"))


def of_run(results: Path, grader: Grader) -> Vertebrae:
    """The evaluable, labelled vertebrae of a run of phantoms, which the grader's run or a frozen model of it graded."""
    names = shards(results)
    crops = pd.concat([read_table(results / f"crops/{n}.parquet", CROPS).assign(shard=n) for n in names])
    files = sorted(results.glob(f"latents/{grader.method}/*.parquet")) or [results / f"latents/{grader.method}.parquet"]
    latents = read_tables([str(file) for file in files], LATENTS)
    labels = read_table(results / "cohort/labels.parquet", LABELS)[[*KEY, "genant_grade"]]
    splits = read_table(results / "cohort/splits.tsv", PATIENT_SPLITS).set_index("patient_id")["split"]
    table = (
        latents[latents["evaluable"]][[*KEY]].merge(crops, on=KEY).merge(labels, on=KEY).dropna(subset="genant_grade")
    )
    table = table.assign(split=table["patient_id"].map(splits)).reset_index(drop=True)
    arrays = {n: np.load(results / f"crops/{n}.npy", mmap_mode="r") for n in names}
    pixels = np.stack([arrays[n][crop] for n, crop in zip(table["shard"], table["crop"], strict=True)])
    rows = table[KEY].merge(latents, on=KEY)
    return grader.vertebrae(table, pixels, stack_latents(rows), rows)


def strange_vertebrae(grader: Grader, test: Vertebrae, seed: int) -> dict[str, Vertebrae]:
    """Planted strangeness in a few test vertebrae of each patient, by kind; and another organ, from the volumes."""
    drawn = test.table.groupby("patient_id").sample(frac=1, random_state=seed).groupby("patient_id").head(PER_PATIENT)
    some = test.rows(drawn.index.to_numpy())
    kinds = {
        kind: grader.vertebrae(some.table, pixels, grader.latents_of(pixels, some.z), pd.DataFrame())
        for kind, pixels in planted(some.pixels, seed).items()
    }
    organs, pixels = another_organ(grader.results, some.table)
    z = grader.latents_of(pixels, some.z[: len(pixels)])
    return kinds | {"another_organ": grader.vertebrae(organs, pixels, z, pd.DataFrame())}


def another_organ(results: Path, table: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Crops ORGAN_MM in front of vertebrae, where most of them lies in the scan: their rows, and pixels."""
    rows, pixels = [], []
    for (scan, shard), bones in table.groupby(["scan_id", "shard"]):
        landmarks = pd.read_parquet(results / f"landmarks/{shard}.parquet").query("scan_id == @scan")
        moved = landmarks.assign(**{n: landmarks[n] + ORGAN_MM for n in landmarks if n.endswith("_y_mm")})
        volume = read_volume(f"{results}/ct/{shard}/{scan}_ct.nii.gz")
        cut, _, crops = crop_scan(volume, moved, CropSettings(), float("nan"))
        chosen = crops[crops["vertebra"].isin(bones["vertebra"]) & (crops["inside_fraction"] > 0.6)]
        rows.append(chosen)
        pixels.append(cut[chosen["crop"].to_numpy()])
    return pd.concat(rows, ignore_index=True), np.concatenate(pixels)


def real_scans(shared: Path) -> dict[str, Path]:
    """Real CT on this machine, by name."""
    found = {path.name.removesuffix("_ct.nii.gz"): path for path in sorted((shared / "unlabelled").glob("*_ct.nii.gz"))}
    found["verse014"] = shared / "verse014/sub-verse014_ct.nii.gz"
    found["totalsegmentator-example"] = shared / "totalsegmentator_example/example_ct.nii.gz"
    lidc = Path("~/.cache/vertegrade-test-data/lidc-idri-0001/cxr.nii.gz").expanduser()
    return found | ({"lidc-idri-0001": lidc} if lidc.is_file() else {})


def real_vertebrae(grader: Grader, shared: Path) -> Vertebrae:
    """The evaluable vertebrae that the shipped localizer finds in real CT."""
    localizer = load_localizer(Path("models/localizer"), "cpu")
    expected = read_intact_heights(grader.results / INTACT_HEIGHTS)
    tables, pixels, latents = [], [], []
    for name, path in real_scans(shared).items():
        image = nib.load(path)
        hu, affine = to_ras(np.asanyarray(image.dataobj), image.affine)
        volume = Volume(np.ascontiguousarray(hu.astype(np.int16)), affine)
        landmarks = learned_landmarks(ScanRow(name, name, ""), volume, localizer, LocalizeSettings())
        landmarks = without_foreign(landmarks, volume)
        cut, _, crops = crop_scan(volume, landmarks, CropSettings(), float("nan"))
        rows = keypoint_latents(measure(landmarks, expected), "networks", expected.sha256)
        good = (crops["evaluable"] & rows["evaluable"]).to_numpy()
        tables.append(crops[good])
        pixels.append(cut[good])
        latents.append(rows[good])
    table, cuts = pd.concat(tables, ignore_index=True), np.concatenate(pixels)
    points = pd.concat(latents, ignore_index=True)
    z = grader.latents_of(cuts, stack_latents(points))
    return grader.vertebrae(table, cuts, z, points if grader.method == "keypoints" else pd.DataFrame())
