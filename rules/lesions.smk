# Which scans bone quality has, and where they and their labels lie. No rules.

from vertegrade.metastasis.classes import NETWORKS as BONE_NETWORKS
from vertegrade.metastasis.roster import CLINICAL, LayoutError, metastasis_rows

LESIONS = f"{SETTINGS.run.results}/metastasis"
LESIONS_ARE_DRAWN = not SETTINGS.metastasis.folder
try:
    LESION_ROWS = metastasis_rows(SETTINGS.metastasis, SETTINGS.run.results)
except LayoutError as error:
    sys.exit(f"Vertegrade cannot start: {error}")
LESION_SHARDS = list(LESION_ROWS)


def lesion_rows(wildcards):
    """Rows of the scans of a shard, as plain values."""
    return [row.plain(["path"]) for row in LESION_ROWS[wildcards.shard]]


def lesion_cases(wildcards):
    """The scans of a shard with their segmentations."""
    if LESIONS_ARE_DRAWN:
        return [f"{LESIONS}/phantom/{wildcards.shard}/cases"]
    paths = [row.path for row in LESION_ROWS[wildcards.shard]]
    return [path for path in paths if not PATTERN.search(path)]


def unlisted_cases(wildcards):
    """Scans of a shard that cannot be inputs, as their paths are patterns to Snakemake."""
    return [
        row.path for row in LESION_ROWS[wildcards.shard] if PATTERN.search(row.path)
    ]
