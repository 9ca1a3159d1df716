"""The fractures of a phantom patient: which vertebrae, how much height they lose, and in which shape."""

import math
from dataclasses import replace

import numpy as np

from vertegrade.fractures.collapse import PLANE_HALF, draw_fracture
from vertegrade.fractures.kinds import draw_loss, draw_shape, share_fractured
from vertegrade.levels import craniocaudal_rank
from vertegrade.phantom.anatomy.findings import Draft
from vertegrade.spine.heights import genant_grade

WITHIN_PATIENT = 0.5  # correlation of the severities of one patient's fractures
NEIGHBOUR = 2.0  # how much likelier a vertebra fractures next to a fractured one
FRACTURED_PATIENTS = 0.65  # share in VerSe'19, whose shares by level are of all patients


def draw_fractures(
    rng: np.random.Generator, levels: tuple[int, ...], mean_count: float
) -> dict[int, tuple[float, str]]:
    """Loss (fraction) and shape of each fractured vertebra of a fractured patient, by label. levels: head to feet."""
    severity = rng.normal()
    drawn = {}
    for label in _draw_sites(rng, levels, mean_count):
        own = math.sqrt(WITHIN_PATIENT) * severity + math.sqrt(1 - WITHIN_PATIENT) * rng.normal()
        loss = draw_loss(label, own)
        drawn[label] = (loss, draw_shape(rng, label, genant_grade(loss)))
    return drawn


def _draw_sites(rng: np.random.Generator, levels: tuple[int, ...], mean_count: float) -> list[int]:
    """Labels of the fractured vertebrae: at least one, levels as often as in VerSe'19, and in clusters.

    The count is 1 + a negative binomial of the wanted mean, cut at 13 (Genant's and VerSe's patients often have
    several). Each is drawn by the odds of its level; with several to draw, odds keep the shares and shares would not.
    """
    spread = 2.0
    count = 1 + int(rng.negative_binomial(spread, spread / (spread + max(mean_count - 1, 1e-6))))
    shares = np.array([share_fractured(label) / FRACTURED_PATIENTS for label in levels])
    odds = shares / (1 - shares)
    free, near = np.ones(len(levels)), np.ones(len(levels))
    for _ in range(min(count, 13, len(levels))):
        chances = odds * free * near
        site = int(rng.choice(len(levels), p=chances / chances.sum()))
        free[site] = 0
        near[max(site - 1, 0) : site + 2] = NEIGHBOUR
    return sorted((label for label, left in zip(levels, free, strict=True) if not left), key=craniocaudal_rank)


def fractured(rng: np.random.Generator, draft: Draft, loss: float, shape: str) -> Draft:
    """The vertebra after a collapse; what was spongiosa fills less room, and some fractures have a dense band."""
    plan = draft.plan
    fracture = draw_fracture(rng, plan.half_width, plan.half_depth, plan.waist, loss, shape)
    material = replace(draft.material, trabecular_hu=draft.material.trabecular_hu * (1 + rng.uniform(0, 0.7) * loss))
    if rng.random() < 0.4:
        band = rng.uniform(60, 260) * min(loss / 0.25, 1.2)
        upper = float(fracture.superior_share[PLANE_HALF, PLANE_HALF])
        material = replace(
            material,
            band_superior_hu=material.band_superior_hu + band * upper,
            band_inferior_hu=material.band_inferior_hu + band * (1 - upper),
            band_mm=rng.uniform(2, 5),
        )
    findings = draft.findings if genant_grade(loss) else ("subthreshold", *draft.findings)
    return replace(draft, plan=replace(plan, fracture=fracture), material=material, findings=findings)
