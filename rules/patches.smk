# 3D patches of vertebrae: made only where a method sees them (`needs` in vertegrade/methods.py).


rule patches:
    """Cut straightened, vertebra-centred 3D patches of fixed millimetres from a shard's scans."""
    input:
        volumes="<results>/ct/{shard}",
        landmarks="<results>/landmarks/{shard}.parquet",
        crops="<results>/crops/{shard}.parquet",
    output:
        voxels="<results>/patches/{shard}.npy",
        patches="<results>/patches/{shard}.parquet",
    log:
        "<logs>/patches/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings_of("crop.smoothing_mm", "patches"),
        code=code_of("patches"),
        packages=packages_of("patches"),
    script:
        "../workflow_scripts/patches.py"
