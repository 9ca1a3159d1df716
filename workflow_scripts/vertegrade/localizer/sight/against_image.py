"""Whether the image agrees with how the body is said to lie, and whether vertebrae are where given landmarks say.

Both are seen by a small network (see.py) at the bodies' centres and pooled over the scan: one body may look odd, not
most of them. The limits were set on phantoms alone (docs/design/localizer.md).
"""

import numpy as np
import pandas as pd

from vertegrade.annotations.overrides import SOURCE as OVERRIDDEN
from vertegrade.ct.volume import Volume, mm_to_voxel
from vertegrade.localizer.sight.see import WAYS, Seen, Sight, see
from vertegrade.reasons import Refused
from vertegrade.spine.plausibility import geometry_problem, height_problem, lies_along
from vertegrade.tables import NOT_GRADED, centres_of, points_of

LEARNED = "learned"
# Somebody looked at what was corrected by hand, often because it is odd (crushed, one level too many): no ground to
# refuse the whole scan.
UNJUDGED = (LEARNED, OVERRIDDEN)
EXCHANGED = {
    (False, True): "front and back look exchanged (as in an array whose axes run to left and back, LPS, that was saved "
    "as RAS; left and right are then exchanged too)",
    (True, False): "head and feet look exchanged",
    (True, True): "front and back look exchanged, and head and feet too",
}
# Log odds of one body count no more than this; the scan's mean decides.
MOST, WAY_LIMIT, BODY_LIMIT = 4.0, 1.0, 0.5
# Of fewer bodies than this only what is beyond doubt counts: one body looks much alike from above and from below.
FEW, WAY_LIMIT_OF_FEW, BODY_LIMIT_OF_FEW = 3, 3.0, -1.5


def check_against_image(landmarks: pd.DataFrame, volume: Volume, sight: Sight, where: str) -> None:
    """Raise Refused where the image contradicts the landmarks of one scan.

    landmarks: vertebra, centres, points (NaN where unknown), source and reason of table LANDMARKS.
    `orientation_contradicts_image`: the bodies look as if front and back or head and feet were exchanged, whatever
    found them. `landmarks_contradict_image`: those that are given (any source but UNJUDGED) cannot be a spine's, or
    no bodies are to be seen at them. where: scan or file, for the message.
    """
    given = landmarks[~landmarks["source"].isin(UNJUDGED)]
    along = lies_along(centres_of(landmarks))
    if along:
        text = f"{where}: the vertebrae lie one after the other {along}: the axes of the image or of the landmarks are "
        raise Refused(
            "landmarks_contradict_image", text + "exchanged; correct the header of the image or the landmarks"
        )
    shown = _to_look_at(landmarks, volume)
    if len(shown):
        seen = see(volume, centres_of(shown), sight)
        at_given = (~shown["source"].isin(UNJUDGED)).to_numpy()
        # First: a place that is no body's shows no way.
        if at_given.any():
            _check_bodies(seen.body_logit[at_given], where)
        _check_way(seen, where)
    if len(given):
        problem = geometry_problem(dict(zip(given["vertebra"], centres_of(given), strict=True)), volume)
        problem = problem or height_problem(dict(zip(given["vertebra"], points_of(given), strict=True)))
        if problem:
            raise Refused("landmarks_contradict_image", f"{where}: {problem}")


def way_odds(seen: Seen) -> np.ndarray:
    """Mean log odds (4,) of each of WAYS against lying as it should."""
    odds: np.ndarray = np.clip(seen.way_log_p - seen.way_log_p[:, :1], -MOST, MOST).mean(axis=0)
    return odds


def body_odds(logit: np.ndarray) -> float:
    """Mean log odds of there being a body's centre."""
    return float(np.clip(logit, -MOST, MOST).mean())


def _check_way(seen: Seen, where: str) -> None:
    best = int(seen.way_log_p.mean(axis=0).argmax())
    _, front_back = WAYS[best]
    enough = WAY_LIMIT if len(seen.way_log_p) >= FEW else WAY_LIMIT_OF_FEW if front_back else MOST
    if best and way_odds(seen)[best] > enough:
        raise Refused(
            "orientation_contradicts_image",
            f"{where}: {EXCHANGED[WAYS[best]]} in the image; restore its orientation from the DICOM files",
        )


def _check_bodies(logit: np.ndarray, where: str) -> None:
    if body_odds(logit) < (BODY_LIMIT if len(logit) >= FEW else BODY_LIMIT_OF_FEW):
        raise Refused(
            "landmarks_contradict_image",
            f"{where}: no vertebral bodies are to be seen at the centres ({int((logit < 0).sum())} of {len(logit)} "
            "look like other places): the landmarks are shifted, scaled (the centroids of the VerSe challenges count "
            "voxels of 1 mm), of another scan or mirrored, perhaps together with the image",
        )


def _to_look_at(landmarks: pd.DataFrame, volume: Volume) -> pd.DataFrame:
    """Those whose centres lie in the scan; of those that were found only the sound ones, where they are enough."""
    voxels = mm_to_voxel(volume.affine, centres_of(landmarks))
    shape = np.array(volume.hu.shape)
    inside: np.ndarray = np.all((voxels >= -0.5) & (voxels <= shape - 0.5), axis=-1)
    sound = landmarks["reason"].isin(["", NOT_GRADED]) | (landmarks["source"] != LEARNED)
    wanted = inside & sound.to_numpy()
    return landmarks.loc[wanted if wanted.sum() >= FEW else inside]
