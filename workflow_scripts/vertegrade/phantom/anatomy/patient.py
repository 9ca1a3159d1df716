"""A phantom patient: person, spine with fractures and findings, and what surrounds it. Follows from (seed, id)."""

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vertegrade.arrays import Floats32
from vertegrade.fractures.collapse import PLANE_HALF
from vertegrade.fractures.kinds import draw_shape
from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.phantom.anatomy.alignment import draw_discs, draw_scoliosis
from vertegrade.phantom.anatomy.body import Body, BodyPlan, build_body, radial_share
from vertegrade.phantom.anatomy.curve import MIN_GAP_MM, Disc, Pose, stack
from vertegrade.phantom.anatomy.ends import with_ends
from vertegrade.phantom.anatomy.findings import Draft, Material, draw_findings, scheuermann, scheuermann_levels, uneven
from vertegrade.phantom.anatomy.fracture import draw_fractures, fractured
from vertegrade.phantom.anatomy.person import SACRAL, Patient, Person, Vertebra, is_graded
from vertegrade.phantom.anatomy.posterior import lumbar_share, posterior_rods, rib_rods
from vertegrade.phantom.anatomy.progression import progressed
from vertegrade.phantom.anatomy.variants import draw_labels, draw_slip, sized_as
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.spine.heights import genant_grade
from vertegrade.spine.level_statistics import (
    PERSON_RATIO,
    PERSON_SIZE,
    VERTEBRA_HEIGHT,
    VERTEBRA_RATIO,
    level_sizes,
)


def draw_patient(patient_id: str, settings: PhantomSettings, seed: int, later: bool = False) -> Patient:
    """The patient of this id: always the same for the same seed and settings.

    later: at follow-up, with the fractures of `progression` and otherwise the same.
    """
    digest = hashlib.sha256(f"{seed}/{patient_id}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    broken = bool(rng.random() < settings.fractured_patients)
    person = _draw_person(rng, broken)
    variant = np.random.default_rng(int.from_bytes(digest[16:], "big"))
    labels = [SACRAL, SACRAL, *draw_labels(variant, settings.variants)]
    graded = tuple(sorted((label for label in labels if is_graded(label)), key=craniocaudal_rank))
    fractures = draw_fractures(rng, graded, settings.fractures_per_patient) if broken else {}
    ill = scheuermann_levels(rng, settings.mimics)
    drafts = []
    for k, label in enumerate(labels):
        draft = _draw_sacral(rng, person, k) if label == SACRAL else _draw_healthy(rng, person, label)
        if is_graded(label):
            draft = draw_findings(rng, draft, label, person.age, settings.mimics)
            if label in ill:
                draft = scheuermann(rng, draft)
            if label in fractures:
                draft = fractured(rng, draft, *fractures[label])
            elif rng.random() < settings.subthreshold:
                draft = fractured(rng, draft, rng.uniform(0.05, 0.19), draw_shape(rng, label, 1))
        drafts.append(draft)
    if later:
        drafts = progressed(patient_id, seed, labels, drafts)
    slip = draw_slip(variant, labels, settings.slips)
    vertebrae = _assemble(rng, person, labels, drafts, slip, settings)
    tissue_seed = int(rng.integers(2**31))
    textured = _textured(np.random.default_rng([tissue_seed, 5]), list(reversed(vertebrae)))
    spine = with_ends(np.random.default_rng([tissue_seed, 1]), person, textured)
    return Patient(patient_id, person, spine, tissue_seed)


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
    mean = level_sizes()[sized_as(label)]
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


def _textured(rng: np.random.Generator, vertebrae: list[Vertebra]) -> tuple[Vertebra, ...]:
    """The vertebrae with patchy bone, dense under the endplates, uneven shells, and their own processes."""
    patchy, worn, cortex = rng.uniform(0.08, 0.28), rng.uniform(0, 180), rng.uniform(0.5, 1.5)
    dense, depth = rng.uniform(30, 280), rng.uniform(1.6, 3.2)
    textured = []
    for vertebra in vertebrae:
        bone = vertebra.material
        bands = dense * rng.uniform(0.6, 1.4, 2)
        own = bone.band_superior_hu + bone.band_inferior_hu  # of a fracture or of degeneration, as deep as it is
        material = replace(
            bone,
            band_superior_hu=float(bone.band_superior_hu + bands[0]),
            band_inferior_hu=float(bone.band_inferior_hu + bands[1]),
            band_mm=bone.band_mm if own else float(depth),
            patch_hu=float(patchy * max(bone.trabecular_hu, 40.0) * rng.uniform(0.7, 1.4)),
            rough=float(rng.uniform(0.1, 0.35)),
            process_cortex_mm=float(cortex * rng.uniform(0.75, 1.3)),
            process_hu=float(30 + worn * rng.uniform(0.3, 1.2)),
        )
        textured.append(replace(vertebra, material=material))
    return tuple(textured)


def _draw_sacral(rng: np.random.Generator, person: Person, number: int) -> Draft:
    """S2 (0) or S1 (1)."""
    draft = _draw_healthy(rng, person, LABEL_OF["L5"])
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


def _assemble(
    rng: np.random.Generator,
    person: Person,
    labels: list[int],
    drafts: list[Draft],
    slip: NDArray[np.float64],
    settings: PhantomSettings,
) -> list[Vertebra]:
    """Build the bodies, stack them from S2 to C6 and add what hangs on them. slip: forward shift of each body (mm)."""
    healthy = [build_body(replace(draft.plan, fracture=None)) for draft in drafts]
    bodies = [
        body if draft.plan.fracture is None else build_body(draft.plan)
        for body, draft in zip(healthy, drafts, strict=True)
    ]
    named = [k for k, label in enumerate(labels) if label != SACRAL]
    below = draw_discs(
        rng,
        person.age,
        {labels[k]: person.size * drafts[k].disc_factor for k in named},
        {labels[k]: healthy[k] for k in named},
        {labels[k]: bodies[k] for k in named},
    )
    fused = Disc(MIN_GAP_MM, MIN_GAP_MM)  # S1 on S2
    discs = [fused, *(below[labels[k]] for k in named), Disc(4.0, 4.0)]  # above each body; C5 is not drawn
    rolls, turns = draw_scoliosis(rng, len(labels), settings.scoliosis, settings.max_scoliosis_degrees)
    pitch = np.deg2rad(rng.normal(55, 6))
    shifts = rng.normal(0, 0.5, (len(labels), 2)) + slip[:, None] * [0, 1]
    poses = stack(bodies, discs, rolls, turns, float(pitch), shifts)
    middle = poses[labels.index(LABEL_OF["T12" if LABEL_OF["T12"] in labels else "T11"])].origin + np.array(
        [rng.normal(0, 8), rng.normal(0, 8), 0.0]
    )
    vertebrae = []
    for k, (label, draft, body) in enumerate(zip(labels, drafts, bodies, strict=True)):
        fracture = draft.plan.fracture
        grade = genant_grade(fracture.loss) if fracture else 0
        thoracic = LABEL_OF["T1"] <= craniocaudal_rank(label) < LABEL_OF["L1"]
        vertebrae.append(
            Vertebra(
                label=label,
                pose=Pose(poses[k].origin - middle, poses[k].axes),
                body=body,
                material=draft.material,
                rods=posterior_rods(rng, label or LABEL_OF["L5"], healthy[k], person.size),
                ribs=rib_rods(rng, label, body, person.size) if thoracic else np.zeros((0, 9), np.float32),
                disc_top=_disc_top(draft.plan, body, discs[k], bodies[k + 1] if k + 1 < len(bodies) else body),
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


def _disc_top(plan: BodyPlan, body: Body, disc: Disc, above: Body) -> Floats32:
    """Height (mm) over the endplate map up to which the disc above may be painted: the next body's dished underside.

    The next body is painted over the disc, so a little too much does no harm.
    """
    low, high = body.column_ends()[:, 0, 2], above.column_ends()[:, 1, 2]
    rim = _line(body, low[0] + disc.anterior, low[2] + disc.posterior)
    risen = above.bottom - _line(above, high[0], high[2])  # far, where its inferior endplate failed
    hollow = np.maximum(3.5 * (1 - radial_share(plan) ** 2), risen + 0.6)
    return np.asarray(rim + 0.4 + np.where(radial_share(plan) < 1, hollow, 0), np.float32)


def _line(body: Body, anterior_mm: float, posterior_mm: float) -> NDArray[np.float64]:
    """Straight line along the endplate map (1, anterior) that has these values in the anterior and posterior column."""
    share = (np.arange(-PLANE_HALF, PLANE_HALF + 1) - body.columns[2]) / (body.columns[0] - body.columns[2])
    return np.asarray(posterior_mm + (anterior_mm - posterior_mm) * share.clip(-0.2, 1.2))[None]
