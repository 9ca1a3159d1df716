rule localize:
    """Find the vertebrae of a shard's scans from the centroids or masks given with them."""
    input:
        scan_files,
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
    threads: 1
    resources:
        mem_mb=3000,
        runtime=30,
    params:
        rows=rows_of,
        settings=settings_of("localize"),
        code=code_of("localize"),
    script:
        "../workflow_scripts/localize.py"
