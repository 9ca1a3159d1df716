rule measure:
    """Measure a shard's vertebrae from their six points: heights, Genant's indices, and these as latents."""
    input:
        landmarks="<results>/landmarks/{shard}.parquet",
    output:
        measurements="<results>/measurements/{shard}.parquet",
        latents="<results>/latents/keypoints/{shard}.parquet",
    log:
        "<logs>/measure/{shard}.log",
    benchmark:
        "<benchmarks>/measure/{shard}.tsv"
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(5),
    params:
        points_from=POINTS_FROM,
        code=code_of("measure"),
        packages=packages_of("measure"),
    script:
        "../workflow_scripts/measure.py"
