"""What becomes of a phantom's vertebrae until a second scan: new fractures, deeper ones, small losses, or nothing.

How often is a choice and no epidemiology: most patients have something to find, three in ten have nothing. New
fractures are drawn as the first ones are (level, loss, shape). A fracture that progresses keeps its form and deepens.
"""

import hashlib
from dataclasses import replace

import numpy as np

from vertegrade.fractures.kinds import draw_shape
from vertegrade.levels import craniocaudal_rank
from vertegrade.phantom.anatomy.findings import Draft
from vertegrade.phantom.anatomy.fracture import draw_fractures, fractured
from vertegrade.phantom.anatomy.person import is_graded
from vertegrade.spine.heights import genant_grade

UNCHANGED = 0.3  # share of patients in whom nothing happens
NEW_PER_PATIENT = 2.0  # mean number of levels drawn for a new fracture; one that is fractured already progresses
PROGRESSES, SMALL = 0.3, 0.12  # share of the fractured vertebrae, and of those intact that lose a little
FURTHER = (0.08, 0.35)  # loss of what is left of the height, where a fracture progresses
LITTLE = (0.02, 0.19)  # where an intact vertebra loses a little; Genant's grade stays 0
MOST = 0.62  # of the healthy height: little more than the worst of the first fractures


def progressed(patient_id: str, seed: int, labels: list[int], drafts: list[Draft]) -> list[Draft]:
    """The drafts of a patient's vertebrae (labels alike) at the second scan. Follows from (seed, patient_id)."""
    digest = hashlib.sha256(f"{seed}/{patient_id}/follow-up".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    if rng.random() < UNCHANGED:
        return drafts
    graded = tuple(sorted((label for label in labels if is_graded(label)), key=craniocaudal_rank))
    struck = draw_fractures(rng, graded, NEW_PER_PATIENT)
    later = []
    for label, draft in zip(labels, drafts, strict=True):
        chance = rng.random()
        if not is_graded(label):
            later.append(draft)
        elif draft.plan.fracture is not None and (label in struck or chance < PROGRESSES):
            later.append(_deeper(draft, rng.uniform(*FURTHER)))
        elif draft.plan.fracture is None and label in struck:
            later.append(fractured(rng, draft, *struck[label]))
        elif draft.plan.fracture is None and chance < SMALL:
            later.append(fractured(rng, draft, rng.uniform(*LITTLE), draw_shape(rng, label, 1)))
        else:
            later.append(draft)
    return later


def _deeper(draft: Draft, further: float) -> Draft:
    """A fractured vertebra that lost a further share of the height that it had where it had lost most."""
    fracture = draft.plan.fracture
    assert fracture is not None
    loss = max(fracture.loss, min(1 - (1 - fracture.loss) * (1 - further), MOST))
    deeper = replace(fracture, loss=loss, widening=fracture.widening * loss / fracture.loss)
    findings = tuple(name for name in draft.findings if name != "subthreshold" or not genant_grade(loss))
    return replace(draft, plan=replace(draft.plan, fracture=deeper), findings=findings)
