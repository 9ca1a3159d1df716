rule fit_heights:
    """Fit how high intact vertebrae are at each level to the training split; published statistics where it is small."""
    input:
        landmarks=expand("<results>/landmarks/{shard}.parquet", shard=SHARDS),
        labels=own_labels(),
        splits="<results>/cohort/splits.tsv",
    output:
        heights=f"<results>/{INTACT_HEIGHTS}",
    log:
        "<logs>/fit_heights.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code_of("fit_heights"),
        packages=packages_of("fit_heights"),
    script:
        "../workflow_scripts/fit_heights.py"


rule measure:
    """Measure a shard's vertebrae from their six points: heights, Genant's indices, and these as latents."""
    input:
        landmarks="<results>/landmarks/{shard}.parquet",
        heights=f"{MODEL}/{INTACT_HEIGHTS}",
    output:
        measurements="<results>/measurements/{shard}.parquet",
        latents="<results>/latents/keypoints/{shard}.parquet",
    log:
        "<logs>/measure/{shard}.log",
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
