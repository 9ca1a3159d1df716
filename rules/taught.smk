# What is learned from, and the files of virtual fractures, which may teach. No rules.


def virtual_rows(wildcards):
    """Rows of the scans with virtual fractures that are made of a shard's scans; `path` is the id of the scan.

    Where grades are learned from them, scans that have labels of their own need none.
    """
    return [
        ScanRow(f"{row.scan_id}-virtual-{n}", row.patient_id, row.scan_id).plain(
            ["path"]
        )
        for row in ROWS[wildcards.shard]
        if not (TAUGHT_VIRTUALLY and row.labels)
        for n in range(1, SETTINGS.virtual_fractures.copies + 1)
    ]


def virtual_localizer_files(wildcards):
    """What vertebrae of virtual scans are found by. Given landmarks move with the bone, so they are its truth."""
    if SETTINGS.localize.method == "provided":
        return [f"<results>/virtual/truth/{wildcards.shard}.parquet"]
    return localizer_files(wildcards)


def virtual_minutes(wildcards, attempt):
    """Time limit of `localize` for the scans with virtual fractures that are made of a shard's scans."""
    return SETTINGS.virtual_fractures.copies * localize_minutes(wildcards, attempt)


def teaching(path):
    """Files of all shards that are learned from: also those of virtual fractures, where these teach."""
    own = expand(path, shard=SHARDS)
    return own + [virtual(path) for path in own] if TAUGHT_VIRTUALLY else own


def teaching_latents(wildcards):
    """Latent tables that grades are learned from."""
    own = latents_of(wildcards)
    return own + virtual_latents_of(wildcards) if TAUGHT_VIRTUALLY else own


def own_labels():
    """Grades that people gave, or the phantoms' truth unless virtual fractures teach instead; none where none are."""
    drawn = TAUGHT_VIRTUALLY and PHANTOM
    return [] if drawn or not label_files() else "<results>/cohort/labels.parquet"


def teaching_scores(wildcards):
    """Tables of a method's own grade probabilities that these are calibrated by."""
    own = scores_of(wildcards)
    return own + virtual_scores_of(wildcards) if TAUGHT_VIRTUALLY else own


def virtual_scores_of(wildcards):
    """Tables of a method's own grade probabilities of the scans with virtual fractures."""
    return [virtual(path) for path in scores_of(wildcards)]


def teaching_labels(wildcards):
    """Label tables that grades are learned from: virtual fractures count beside what the sheet's scans have."""
    if not TAUGHT_VIRTUALLY:
        return ["<results>/cohort/labels.parquet"]
    own = [own_labels()] if own_labels() else []
    return own + expand("<results>/virtual/labels/{shard}.parquet", shard=SHARDS)


def virtual(path):
    """The file of scans with virtual fractures that is like a file of the cohort's own scans."""
    return path.replace("<results>/", "<results>/virtual/", 1)


def virtual_latents_of(wildcards):
    """Latent tables of a method of the scans with virtual fractures."""
    return [virtual(path) for path in latents_of(wildcards)]
