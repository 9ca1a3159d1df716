rule crop:
    """Cut straightened, vertebra-centred crops of fixed millimetres from a shard's scans."""
    input:
        volumes="<results>/ct/{shard}",
        scans="<results>/landmarks/{shard}_scans.parquet",
        landmarks="<results>/landmarks/{shard}.parquet",
    output:
        pixels="<results>/crops/{shard}.npy",
        frames="<results>/crops/{shard}_frames.npy",
        crops="<results>/crops/{shard}.parquet",
    log:
        "<logs>/crop/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        settings=settings_of("crop"),
        code=code_of("crop"),
        packages=packages_of("crop"),
    script:
        "../workflow_scripts/crop.py"
