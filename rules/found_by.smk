# What vertebrae are found by: networks, a tool, or what comes with the scans; and what the networks learn from. No rules.

# The networks' weights; also where something else finds the vertebrae, since the refiner measures what is drawn.
LOCALIZER_WEIGHTS = (
    SETTINGS.localize.method == "learned" and SETTINGS.localize.weights
) or SHIPPED_WEIGHTS
REFINER = f"{LOCALIZER_WEIGHTS}/vertebrae.safetensors"
OWN_COLUMNS = ("path", "points", "mask", "centroids")
OWN_SCANS = SETTINGS.train_localizer.own_scans


def annotation_files(wildcards):
    """The landmarks that come with the scans of a shard."""
    if PHANTOM:
        return [f"{SETTINGS.run.results}/phantom/{wildcards.shard}/annotations"]
    paths = named_files(wildcards, ["mask", "centroids"])
    return [path for path in paths if not PATTERN.search(path)]


def localizer_files(wildcards):
    """What vertebrae are found by: the networks' weights, or the landmarks that come with a shard's scans."""
    if SETTINGS.localize.method == "learned":
        return network_files()
    return annotation_files(wildcards) if SETTINGS.localize.method == "provided" else []


def network_files():
    """The weights of the networks that find vertebrae; none where something else finds them."""
    names = NETWORKS if SETTINGS.localize.method == "learned" else []
    return [f"{LOCALIZER_WEIGHTS}/{name}" for name in names]


def own_rows():
    """Scans that the localizer may learn from: rows of the sheet with an annotation, and their converted volumes."""
    if not OWN_SCANS:
        return []
    folder = f"{SETTINGS.run.results}/ct"
    return [
        {
            "row": row.plain(OWN_COLUMNS),
            "volume": f"{folder}/{shard}/{row.scan_id}_ct.nii.gz",
        }
        for shard in SHARDS
        for row in ROWS[shard]
        if row.annotation()[1] and MARKS.get(row.scan_id) != "fail"
    ]


def training_annotations():
    """Files or folders of the annotations that the localizer may learn from."""
    if PHANTOM and OWN_SCANS:
        return expand("<results>/phantom/{shard}/annotations", shard=SHARDS)
    return [path for path in own_annotations() if not PATTERN.search(path)]


def unlisted_annotations():
    """`training_annotations` that cannot be inputs, as their names are patterns to Snakemake."""
    return [
        path
        for path in own_annotations()
        if PATTERN.search(path) and os.path.exists(path)
    ]


def own_annotations():
    """What the sheet's scans have for the localizer to learn from."""
    annotations = {row.annotation()[1] for row in SCANS} if OWN_SCANS else set()
    return sorted(path for path in annotations if path)


def overrides_of(wildcards):
    """Rows of the overrides table that name scans of a shard: a correction re-runs no other shard."""
    scans = {row.scan_id for row in ROWS[wildcards.shard]}
    mine = [row | {"comment": ""} for row in OVERRIDES if row["scan_id"] in scans]
    return sorted(mine, key=lambda row: sorted(row.items()))


def marks_of(wildcards):
    """What a person said of a shard's scans that changes them; `pass` does not."""
    mine = {
        row.scan_id: MARKS.get(row.scan_id, "pass") for row in ROWS[wildcards.shard]
    }
    return {scan: mark for scan, mark in mine.items() if mark != "pass"}


def localize_minutes(wildcards, attempt):
    """Time limit of a shard's localization: a tool may take long for each of its scans."""
    if SETTINGS.localize.method in ("learned", "provided"):
        return attempt * 60
    scans = len(ROWS[wildcards.shard])
    return attempt * round(10 + SETTINGS.localize.tool_minutes * scans)
