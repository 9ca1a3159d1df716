"""What looks like a fracture and is not one: wedging, short bodies, Schmorl's nodes, osteophytes, density changes.

Genant 1993 (J Bone Miner Res 8:1137) grades no such deformity as a fracture. Fractured vertebrae have them too.
"""

from dataclasses import dataclass, replace

import numpy as np

from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.phantom.anatomy.body import BodyPlan, Dent, Lip

# Odds of each finding by region: thoracic, thoracolumbar, lumbar.
ODDS = {
    "wedging": (3.0, 3.0, 0.5),
    "short": (1.5, 1.0, 1.0),
    "schmorl": (2.0, 4.0, 2.5),
    "degenerate": (2.5, 2.0, 5.0),
    "sclerosis": (0.8, 0.8, 0.8),
    "haemangioma": (0.8, 0.9, 0.8),
}
SCHEUERMANN_PATIENTS = 0.15  # share of the setting `mimics`; 0.4 makes 6 % of the patients


@dataclass(frozen=True)
class Material:
    """What a vertebra consists of: HU of spongiosa and cortex, shell thickness, grain, and bands under the endplates.

    vertical: 0 keeps all horizontal trabeculae, 1 has lost them. Bands are HU added within band_mm of an endplate.
    patch_hu: deviation of the density over some millimetres. rough: relative spread of the shell's thickness.
    Processes have a cortex of process_cortex_mm, and spongiosa denser by process_hu (worn joints are sclerotic).
    """

    trabecular_hu: float
    cortical_hu: float
    cortex_mm: float
    grain_hu: float
    vertical: float
    vein_hu: float
    band_superior_hu: float
    band_inferior_hu: float
    band_mm: float
    phase: tuple[int, int, int]
    patch_hu: float = 0.0
    rough: float = 0.0
    process_cortex_mm: float = 1.4
    process_hu: float = 70.0


@dataclass(frozen=True, eq=False)
class Draft:
    """A vertebra while it is drawn: shape, substance, its findings, and the height of the disc below (factor)."""

    plan: BodyPlan
    material: Material
    findings: tuple[str, ...] = ()
    disc_factor: float = 1.0


def draw_findings(rng: np.random.Generator, draft: Draft, label: int, age: float, share: float) -> Draft:
    """Add one finding, seldom two, to the given share of vertebrae; degeneration grows with age."""
    if rng.random() >= share:
        return draft
    rank = craniocaudal_rank(label)
    column = 0 if rank < LABEL_OF["T11"] else 1 if rank <= LABEL_OF["L2"] else 2
    odds = {name: values[column] for name, values in ODDS.items()}
    odds["degenerate"] *= float(np.clip((age - 40) / 25, 0.2, 2))
    names = list(odds)
    chances = np.array([odds[name] for name in names]) / sum(odds.values())
    count = 2 if rng.random() < 0.25 else 1
    for name in rng.choice(names, size=count, replace=False, p=chances):
        draft = _add(rng, draft, str(name))
    return draft


def _add(rng: np.random.Generator, draft: Draft, name: str) -> Draft:
    plan, material, disc = draft.plan, draft.material, draft.disc_factor
    if name == "wedging":
        plan = replace(plan, height_anterior=plan.height_anterior * rng.uniform(0.84, 0.93))
    elif name == "short":
        plan = _short(plan, rng.uniform(0.83, 0.92))
    elif name == "schmorl":
        plan = replace(plan, dents=plan.dents + _schmorl(rng, plan))
    elif name == "degenerate":
        plan = _degenerate(rng, plan)
        disc = rng.uniform(0.35, 0.8)
        bands = rng.uniform(0, 250, 2)
        material = replace(material, band_superior_hu=bands[0], band_inferior_hu=bands[1], band_mm=rng.uniform(1.5, 4))
    elif name == "sclerosis":
        material = replace(material, trabecular_hu=material.trabecular_hu + rng.uniform(100, 350))
    else:
        loss = rng.uniform(10, 50)
        grain = material.grain_hu * rng.uniform(1.8, 3)
        material = replace(material, trabecular_hu=material.trabecular_hu - loss, grain_hu=grain, vertical=1.0)
    return replace(
        draft, plan=plan, material=material, findings=(*draft.findings, name), disc_factor=min(disc, draft.disc_factor)
    )


def _short(plan: BodyPlan, factor: float) -> BodyPlan:
    """A body that grew less high, all columns alike, with intact endplates."""
    return replace(
        plan,
        height_anterior=plan.height_anterior * factor,
        height_posterior=plan.height_posterior * factor,
        dish_superior=plan.dish_superior * factor,
        dish_inferior=plan.dish_inferior * factor,
    )


def _schmorl(rng: np.random.Generator, plan: BodyPlan) -> tuple[Dent, ...]:
    """One or two round pits of an endplate, in its middle or posterior half."""
    return tuple(
        Dent(
            bool(rng.random() < 0.4),
            rng.uniform(-0.4, 0.4) * plan.half_width,
            rng.uniform(-0.5, 0.25) * plan.half_depth,
            rng.uniform(1.8, 3.5),
            min(rng.uniform(2.0, 5.5), 0.22 * plan.height_posterior),
        )
        for _ in range(rng.integers(1, 3))
    )


def _degenerate(rng: np.random.Generator, plan: BodyPlan) -> BodyPlan:
    """Osteophytes at the anterior and lateral rims and uneven endplates."""
    lips = tuple(
        Lip(bool(rng.random() < 0.5), rng.uniform(-0.1, 1.1) * np.pi, rng.uniform(0.3, 0.9), rng.uniform(1.5, 6))
        for _ in range(rng.integers(2, 5))
    )
    return replace(plan, lips=plan.lips + lips, waves=uneven(rng, rng.uniform(0.2, 0.6)))


def scheuermann(rng: np.random.Generator, draft: Draft) -> Draft:
    """One of several adjacent vertebrae of Scheuermann's disease: a mild wedge, ragged endplates, a narrow disc."""
    plan = replace(
        draft.plan,
        height_anterior=draft.plan.height_anterior * rng.uniform(0.82, 0.92),
        half_depth=draft.plan.half_depth * rng.uniform(1.02, 1.1),
        waves=uneven(rng, rng.uniform(0.4, 0.8)),
        dents=draft.plan.dents + (_schmorl(rng, draft.plan) if rng.random() < 0.5 else ()),
    )
    return replace(
        draft,
        plan=plan,
        findings=("scheuermann", *draft.findings),
        disc_factor=draft.disc_factor * rng.uniform(0.65, 0.95),
    )


def uneven(rng: np.random.Generator, size_mm: float) -> tuple[tuple[float, float, float, float], ...]:
    """Three waves of an endplate: amplitude (mm), two wave numbers (1/mm), phase; wavelengths 9-25 mm."""
    waves = []
    for _ in range(3):
        number, turn = 2 * np.pi / rng.uniform(9, 25), rng.uniform(0, np.pi)
        waves.append(
            (size_mm * rng.uniform(0.3, 1), number * np.cos(turn), number * np.sin(turn), rng.uniform(0, 2 * np.pi))
        )
    return tuple(waves)


def scheuermann_levels(rng: np.random.Generator, share: float) -> set[int]:
    """Labels of a patient's Scheuermann vertebrae: none, or three to five adjacent ones between T6 and L1."""
    if rng.random() >= share * SCHEUERMANN_PATIENTS:
        return set()
    first = int(rng.integers(LABEL_OF["T6"], LABEL_OF["T10"]))
    return set(range(first, first + int(rng.integers(3, 6))))
