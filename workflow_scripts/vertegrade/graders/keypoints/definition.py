"""What a hyperplane of `keypoints` fits to: one definition of the indices, as a hash.

A given model is compared with it while the Snakefile is parsed, so nothing here may import numpy or pandas.
"""

import hashlib

from vertegrade.workflow.code_hash import digests_of

# The modules that turn six points into latents; spine/__init__.py includes the table in its folder.
DEFINITION = [
    "vertegrade/graders/keypoints/definition.py",
    "vertegrade/graders/keypoints/latents.py",
    "vertegrade/levels.py",
    "vertegrade/spine/__init__.py",
    "vertegrade/spine/heights.py",
    "vertegrade/spine/indices.py",
    "vertegrade/spine/intact_heights.py",
    "vertegrade/spine/level_statistics.py",
    "vertegrade/spine/normal_ratios.py",
]


def definition_sha256(points_from: str, heights_sha256: str) -> str:
    """SHA-256 of what set the points, of the code that turns them into indices and of the heights that are expected of
    intact vertebrae: a hyperplane fits to no others.

    heights_sha256: of the file heights/intact_heights.json. Networks and masks set endplates a little differently,
    which a model of the other would take for loss of height. The code is hashed as for a rule's `code`: comments do not
    count, or a comment would separate new shards from old ones.
    """
    return hashlib.sha256(repr([points_from, heights_sha256, digests_of(DEFINITION)]).encode()).hexdigest()
