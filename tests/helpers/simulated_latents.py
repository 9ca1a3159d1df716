"""Latents whose grade structure is known: grade by true height loss, spread over many dimensions, patients grouped."""

import numpy as np
import pandas as pd

from vertegrade.grading.appearance import LENGTH, NOISE
from vertegrade.tables import APPEARANCE, LABELS, LATENTS, PATIENT_SPLITS, check_table

MODEL = "a" * 64


def cohort(
    patients: int = 60, vertebrae: int = 12, dimensions: int = 24, noise: float = 0.6, seed: int = 0, model: str = MODEL
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(LATENTS, LABELS, PATIENT_SPLITS): about a tenth of the vertebrae fractured, few of them severe.

    Height loss moves the latents along one direction and, curved, along a second; vertebral level and the patient move
    them along others; the rest is noise. Splits: 60 % train, 20 % validation, 20 % test, by number.
    """
    random = np.random.default_rng(seed)
    rows = [(f"p{p:03d}", f"p{p:03d}-1", 8 + v) for p in range(patients) for v in range(vertebrae)]
    table = pd.DataFrame(rows, columns=["patient_id", "scan_id", "vertebra"])
    prone = np.repeat(random.random(patients) < 0.5, vertebrae)
    broken = prone & (random.random(len(table)) < 0.3)
    loss = np.where(broken, random.triangular(0.2, 0.22, 0.6, len(table)), random.uniform(0.0, 0.12, len(table)))
    directions = np.linalg.qr(random.normal(size=(dimensions, dimensions)))[0]
    person = np.repeat(random.normal(size=patients), vertebrae)
    parts = np.stack([12 * loss, 15 * loss**2, (table["vertebra"] - 14) / 3, person], axis=1)
    z = parts @ directions[:4] + noise * random.normal(size=(len(table), dimensions))
    z = z * random.uniform(0.1, 10, dimensions) + random.normal(size=dimensions)
    latents = table.assign(crop=range(len(table)), evaluable=True, reason="", model_sha256=model)
    latents["z"] = list(z.astype(np.float32))
    labels = table.assign(
        genant_grade=np.digitize(loss, [0.2, 0.25, 0.4]).astype(float),
        shape="",
        height_loss=loss,
        usable=True,
        reason="",
    )
    share = np.arange(patients) / patients
    splits = pd.DataFrame(
        {
            "patient_id": table["patient_id"].unique(),
            "split": np.select([share < 0.6, share < 0.8], ["train", "validation"], "test"),
            "origin": "given",
        }
    )
    return (
        check_table(latents, LATENTS, "latents"),
        check_table(labels, LABELS, "labels"),
        check_table(splits, PATIENT_SPLITS, "splits"),
    )


def appearance_of(latents: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """APPEARANCE of the vertebrae of LATENTS: numbers that differ between patients and between vertebrae."""
    random = np.random.default_rng(seed)
    patient = pd.factorize(latents["patient_id"])[0]
    x = random.normal(size=(max(len(set(patient)), 1), LENGTH))[patient] + random.normal(size=(len(latents), LENGTH))
    x[:, NOISE] = np.abs(x[:, NOISE])
    table = latents[["patient_id", "scan_id", "vertebra", "crop"]].assign(x=list(x.astype(np.float32)))
    return check_table(table, APPEARANCE, "appearance")
