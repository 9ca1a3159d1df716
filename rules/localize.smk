rule train_localizer:
    """Train the localizer's networks on phantoms, and on the cohort's own scans if asked for; resumes by itself."""
    input:
        annotations=training_annotations(),
        volumes=expand("<results>/ct/{shard}", shard=SHARDS if OWN_SCANS else []),
        scans=expand("<results>/ct/{shard}.parquet", shard=SHARDS if OWN_SCANS else []),
        official=official_split_files() if OWN_SCANS else [],
        sight=SIGHT_WEIGHTS if OWN_SCANS else [],
    output:
        centreline="<results>/localizer/centreline.safetensors",
        vertebrae="<results>/localizer/vertebrae.safetensors",
        metrics="<results>/localizer/training.json",
    log:
        "<logs>/train_localizer.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 4
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=720,
    params:
        state_dir=f"{SETTINGS.run.results}/localizer/state",
        own=own_rows(),
        unlisted=unlisted_annotations(),
        given=given_splits() if OWN_SCANS else {},
        settings=settings_of("train_localizer", "cohort.splits", "localize.mask_labels"),
        seed=SEED,
        code=code_of("train_localizer"),
        packages=packages_of("train_localizer"),
    script:
        "../workflow_scripts/train_localizer.py"


rule localize:
    """Find the vertebrae of a shard's scans by the learned networks, a tool, or what is given with the scans."""
    input:
        found_by=localizer_files,
        sight=SIGHT_WEIGHTS,
        volumes="<results>/ct/{shard}",
        scans="<results>/ct/{shard}.parquet",
    output:
        landmarks="<results>/landmarks/{shard}.parquet",
        states="<results>/landmarks/{shard}_scans.parquet",
    log:
        "<logs>/localize/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1 if SETTINGS.localize.method in ("learned", "provided") else 2
    resources:
        gpu=0 if SETTINGS.localize.method == "provided" else GPU,
        mem_mb=growing(3000 if SETTINGS.localize.method == "provided" else 6000),
        runtime=localize_minutes,
    params:
        rows=rows_of("mask", "centroids"),
        unlisted=unlisted("mask", "centroids"),
        overrides=overrides_of,
        marks=marks_of,
        settings=settings_of("localize"),
        code=code_of("localize"),
        packages=packages_of("localize"),
    script:
        "../workflow_scripts/localize.py"
