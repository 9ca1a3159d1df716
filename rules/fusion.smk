rule fuse:
    """Put the DAE's latents and the indices of the six points of a shard side by side."""
    input:
        dae="<results>/latents/dae/{shard}.parquet",
        keypoints="<results>/latents/keypoints/{shard}.parquet",
    output:
        latents="<results>/latents/fusion/{shard}.parquet",
    log:
        "<logs>/fuse/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code_of("fuse"),
        packages=packages_of("fuse"),
    script:
        "../workflow_scripts/fuse.py"


use rule fuse as fuse_virtual with:
    input:
        dae="<results>/virtual/latents/dae/{shard}.parquet",
        keypoints="<results>/virtual/latents/keypoints/{shard}.parquet",
    output:
        latents="<results>/virtual/latents/fusion/{shard}.parquet",
    log:
        "<logs>/fuse_virtual/{shard}.log",
