rule localize:
    """Find the vertebrae of a shard's scans by the learned networks, a tool, or what is given with the scans."""
    input:
        localizer_files,
        volumes="<results>/ct/{shard}",
        scans="<results>/ct/{shard}.parquet",
    output:
        landmarks="<results>/landmarks/{shard}.parquet",
        states="<results>/landmarks/{shard}_scans.parquet",
    log:
        "<logs>/localize/{shard}.log",
    benchmark:
        "<benchmarks>/localize/{shard}.tsv"
    conda:
        "../envs/vertegrade.yaml"
    threads: 1 if SETTINGS.localize.method == "provided" else 2
    resources:
        gpu=0 if SETTINGS.localize.method == "provided" else GPU,
        mem_mb=growing(3000 if SETTINGS.localize.method == "provided" else 6000),
        runtime=localize_minutes,
    params:
        rows=rows_of,
        overrides=overrides_of,
        settings=settings_of("localize"),
        code=code_of("localize"),
    script:
        "../workflow_scripts/localize.py"
