"""A phantom patient: person, spine with fractures and findings, and what surrounds it. Follows from (seed, id)."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vertegrade.levels import LABELS
from vertegrade.phantom.alignment import draw_discs, draw_scoliosis
from vertegrade.phantom.body import (
    PLANE_HALF,
    Body,
    BodyPlan,
    Floats,
    build_body,
    radial_share,
)
from vertegrade.phantom.curve import MIN_GAP_MM, Disc, Pose, stack
from vertegrade.phantom.findings import Draft, Material, draw_findings, scheuermann, scheuermann_levels, uneven
from vertegrade.phantom.fracture import draw_fracture, draw_loss, draw_shape, draw_sites
from vertegrade.phantom.level_statistics import (
    PERSON_RATIO,
    PERSON_SIZE,
    VERTEBRA_HEIGHT,
    VERTEBRA_RATIO,
    level_sizes,
)
from vertegrade.phantom.posterior import Rods, lumbar_share, posterior_rods, rib_rods
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.spine.heights import genant_grade

SACRUM = 0  # label of S1 and S2, which are drawn but not named
GRADED = tuple(range(LABELS["T1"], LABELS["L5"] + 1))


@dataclass(frozen=True)
class Person:
    """What all vertebrae of a patient share. Factors are relative to the mean, offsets are added to ratios."""

    age: int
    sex: str
    size: float
    slenderness: float
    ratio_anterior: float
    ratio_middle: float
    bone_hu: float
    cortical_hu: float
    fat_mm: float


@dataclass(frozen=True, eq=False)
class Vertebra:
    """One vertebra in place. rods and ribs are in local axes; disc_top is the upper limit of the disc above (mm)."""

    label: int
    pose: Pose
    body: Body
    material: Material
    rods: Rods
    ribs: Rods
    disc_top: Floats
    disc_hu: float
    vacuum: float
    healthy_heights: NDArray[np.float64]
    height_loss: float
    genant_grade: int
    shape: str
    finding: str


@dataclass(frozen=True, eq=False)
class Patient:
    """A patient. vertebrae run from the head down (C6 to S2); seed makes the tissues around them."""

    patient_id: str
    person: Person
    vertebrae: tuple[Vertebra, ...]
    seed: int

    @property
    def age(self) -> int:
        """Age in years."""
        return self.person.age

    @property
    def sex(self) -> str:
        """F or M."""
        return self.person.sex

    @property
    def levels(self) -> tuple[int, ...]:
        """Labels with a truth, from the head down: T1 to L5. C6, C7 and the sacrum are drawn around them."""
        return tuple(v.label for v in self.vertebrae if v.label in GRADED)

    def extent(self, first_label: int, last_label: int) -> NDArray[np.float64]:
        """Bounding box (x, y, z by low, high; RAS mm) of the bodies from first_label down to last_label."""
        chosen = [v for v in self.vertebrae if v.label and first_label <= v.label <= last_label]
        if not chosen:
            raise ValueError(f"{self.patient_id} has no vertebra between {first_label} and {last_label}")
        corners = np.concatenate([body_corners(v) for v in chosen])
        return np.stack([corners.min(axis=0), corners.max(axis=0)], axis=1)


def body_corners(vertebra: Vertebra) -> NDArray[np.float64]:
    """RAS points (24, 3) on the rims of a body: its bounding box up to a millimetre or two."""
    body = vertebra.body
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    right, anterior = body.half_width * np.cos(turn), body.half_depth * np.sin(turn)
    at = np.rint(0.9 * right).astype(int) + PLANE_HALF, np.rint(0.9 * anterior).astype(int) + PLANE_HALF
    rims = [np.stack([right, anterior, surface[at]], axis=1) for surface in (body.top, body.bottom)]
    return vertebra.pose.world(np.concatenate(rims))


def draw_patient(patient_id: str, settings: PhantomSettings, seed: int) -> Patient:
    """The patient of this id: always the same for the same seed and settings."""
    digest = hashlib.sha256(f"{seed}/{patient_id}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    fractured = bool(rng.random() < settings.fractured_patients)
    person = _draw_person(rng, fractured)
    sites = draw_sites(rng, GRADED, settings.fractures_per_patient) if fractured else []
    severity = float(rng.normal())
    ill = scheuermann_levels(rng, settings.mimics)
    labels = [SACRUM, SACRUM, *range(LABELS["L5"], LABELS["C6"] - 1, -1)]
    drafts = []
    for k, label in enumerate(labels):
        draft = _draw_sacral(rng, person, k) if label == SACRUM else _draw_healthy(rng, person, label)
        if label in GRADED:
            draft = draw_findings(rng, draft, label, person.age, settings.mimics)
            if label in ill:
                draft = scheuermann(rng, draft)
            if label in sites:
                draft = _fractured(rng, draft, draw_loss(rng, severity))
            elif rng.random() < settings.subthreshold:
                draft = _fractured(rng, draft, rng.uniform(0.05, 0.19))
        drafts.append(draft)
    vertebrae = _assemble(rng, person, labels, drafts, settings.scoliosis)
    return Patient(patient_id, person, tuple(reversed(vertebrae)), int(rng.integers(2**31)))


def _draw_person(rng: np.random.Generator, fractured: bool) -> Person:
    """Age, sex, size and bone. Jang 2019 (Radiology 291:360): L1 226 +- 44 HU below 30 years, 89 +- 38 above 90."""
    age = int(np.clip(rng.normal(68 if fractured else 63, 11), 32, 92))
    sex = "F" if rng.random() < 0.55 else "M"
    density = rng.normal(-0.35 if fractured else 0, 1)
    return Person(
        age=age,
        sex=sex,
        size=float((0.955 if sex == "F" else 1.045) * np.exp(rng.normal(0, 0.75 * PERSON_SIZE))),
        slenderness=float(np.exp(rng.normal(0, 0.04))),
        ratio_anterior=float(rng.normal(0, PERSON_RATIO)),
        ratio_middle=float(rng.normal(0, PERSON_RATIO)),
        bone_hu=float(np.clip(226 - 2.2 * (age - 28) + 38 * density, 25, 330)),
        cortical_hu=float(np.clip(950 + 110 * density + rng.normal(0, 90), 600, 1300)),
        fat_mm=float(rng.uniform(10, 40)),
    )


def _draw_healthy(rng: np.random.Generator, person: Person, label: int) -> Draft:
    """A vertebra without findings."""
    mean = level_sizes()[label]
    height = mean.height_posterior_mm * person.size * person.slenderness * np.exp(rng.normal(0, VERTEBRA_HEIGHT))
    anterior = height * (mean.ratio_anterior + person.ratio_anterior + rng.normal(0, VERTEBRA_RATIO))
    middle = height * (mean.ratio_middle + person.ratio_middle + rng.normal(0, VERTEBRA_RATIO))
    dish = float(np.clip((anterior + height) / 2 - middle, 0.6, 0.2 * height))
    superior = rng.uniform(0.32, 0.5)
    lumbar = lumbar_share(label)
    plan = BodyPlan(
        half_width=mean.width_mm / 2 * person.size / person.slenderness * np.exp(rng.normal(0, 0.02)),
        half_depth=mean.depth_mm / 2 * person.size / person.slenderness * np.exp(rng.normal(0, 0.02)),
        squareness=lumbar,
        height_anterior=anterior,
        height_posterior=height,
        dish_superior=superior * dish,
        dish_inferior=(1 - superior) * dish,
        waist=rng.uniform(0.08, 0.17) + 0.02 * lumbar,
        waves=uneven(rng, rng.uniform(0.03, 0.15)),
    )
    return Draft(plan, _draw_material(rng, person, label))


def _draw_material(rng: np.random.Generator, person: Person, label: int) -> Material:
    """Bone of one vertebra; thoracic ones are a little denser, sparse ones have lost horizontal trabeculae."""
    spongiosa = person.bone_hu * (1.12 - 0.12 * lumbar_share(label)) * np.exp(rng.normal(0, 0.07)) + rng.normal(0, 6)
    sparse = float(np.clip((150 - spongiosa) / 130, 0, 1))
    return Material(
        trabecular_hu=float(spongiosa),
        cortical_hu=float(person.cortical_hu * np.exp(rng.normal(0, 0.06))),
        cortex_mm=float(np.clip(0.65 - 0.25 * sparse + rng.normal(0, 0.06), 0.3, 0.9)),
        grain_hu=float(45 + 25 * sparse),
        vertical=sparse,
        vein_hu=float(rng.normal(0, 70)),
        band_superior_hu=0.0,
        band_inferior_hu=0.0,
        band_mm=2.0,
        phase=tuple(int(n) for n in rng.integers(0, 64, 3)),  # type: ignore[arg-type]
    )


def _draw_sacral(rng: np.random.Generator, person: Person, number: int) -> Draft:
    """S2 (0) or S1 (1)."""
    draft = _draw_healthy(rng, person, LABELS["L5"])
    height, depth = (20.0, 21.0) if number == 0 else (26.0, 32.0)
    plan = replace(
        draft.plan,
        height_anterior=1.08 * height * person.size,
        height_posterior=height * person.size,
        half_depth=depth / 2 * person.size,
        dish_superior=1.0,
        dish_inferior=0.0,
        waist=0.04,
    )
    return replace(draft, plan=plan)


def _fractured(rng: np.random.Generator, draft: Draft, loss: float) -> Draft:
    """The vertebra after a collapse; what was spongiosa fills less room, and some fractures have a dense band."""
    grade = genant_grade(loss)
    fracture = draw_fracture(rng, draft.plan, loss, draw_shape(rng, grade))
    material = replace(draft.material, trabecular_hu=draft.material.trabecular_hu * (1 + rng.uniform(0, 0.7) * loss))
    if rng.random() < 0.4:
        band = rng.uniform(60, 260) * min(loss / 0.25, 1.2)
        upper = fracture.superior_share
        material = replace(
            material,
            band_superior_hu=material.band_superior_hu + band * upper,
            band_inferior_hu=material.band_inferior_hu + band * (1 - upper),
            band_mm=rng.uniform(2, 5),
        )
    findings = draft.findings if grade else ("subthreshold", *draft.findings)
    return replace(draft, plan=replace(draft.plan, fracture=fracture), material=material, findings=findings)


def _assemble(
    rng: np.random.Generator, person: Person, labels: list[int], drafts: list[Draft], scoliosis: float
) -> list[Vertebra]:
    """Build the bodies, stack them from S2 to C6 and add what hangs on them."""
    healthy = [build_body(replace(draft.plan, fracture=None)) for draft in drafts]
    bodies = [
        body if draft.plan.fracture is None else build_body(draft.plan)
        for body, draft in zip(healthy, drafts, strict=True)
    ]
    named = [k for k, label in enumerate(labels) if label != SACRUM]
    below = draw_discs(
        rng,
        person.age,
        {labels[k]: person.size * drafts[k].disc_factor for k in named},
        {labels[k]: healthy[k] for k in named},
        {labels[k]: bodies[k] for k in named},
    )
    fused = Disc(MIN_GAP_MM, MIN_GAP_MM)  # S1 on S2
    discs = [fused, *(below[labels[k]] for k in named), Disc(4.0, 4.0)]  # above each body; C5 is not drawn
    rolls, turns = draw_scoliosis(rng, len(labels), scoliosis)
    pitch = np.deg2rad(rng.normal(55, 6))
    poses = stack(bodies, discs, rolls, turns, float(pitch), rng.normal(0, 0.5, (len(labels), 2)))
    middle = poses[labels.index(LABELS["T12"])].origin + np.array([rng.normal(0, 8), rng.normal(0, 8), 0.0])
    vertebrae = []
    for k, (label, draft, body) in enumerate(zip(labels, drafts, bodies, strict=True)):
        fracture = draft.plan.fracture
        grade = genant_grade(fracture.loss) if fracture else 0
        thoracic = LABELS["T1"] <= label <= LABELS["T12"]
        vertebrae.append(
            Vertebra(
                label=label,
                pose=Pose(poses[k].origin - middle, poses[k].axes),
                body=body,
                material=draft.material,
                rods=posterior_rods(rng, label or LABELS["L5"], healthy[k], person.size),
                ribs=rib_rods(rng, label, body, person.size) if thoracic else np.zeros((0, 9), np.float32),
                disc_top=_disc_top(draft.plan, body, discs[k]),
                disc_hu=float(rng.normal(85, 12)),
                vacuum=float(rng.uniform(0.3, 1)) if draft.disc_factor < 0.6 and rng.random() < 0.4 else 0.0,
                healthy_heights=healthy[k].heights(),
                height_loss=float((1 - body.heights() / healthy[k].heights()).max()) if fracture else 0.0,
                genant_grade=grade,
                shape=fracture.shape if fracture and grade else "",
                finding="+".join(draft.findings),
            )
        )
    return vertebrae


def _disc_top(plan: BodyPlan, body: Body, disc: Disc) -> Floats:
    """Height (mm) over the endplate map up to which the disc above may be painted: the next body's dished underside."""
    ends = body.column_ends()
    anterior = np.arange(-PLANE_HALF, PLANE_HALF + 1)
    share = (anterior - body.columns[2]) / (body.columns[0] - body.columns[2])
    posterior_rim, anterior_rim = ends[2, 0, 2] + disc.posterior, ends[0, 0, 2] + disc.anterior
    rim = posterior_rim + (anterior_rim - posterior_rim) * share.clip(-0.2, 1.2)
    hollow = 3.5 * np.clip(1 - radial_share(plan) ** 2, 0, 1)
    return np.asarray(rim[None] + 0.4 + hollow, np.float32)
