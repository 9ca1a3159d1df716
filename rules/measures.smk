rule spine_measures:
    """Trabecular HU, discs, slips and curves of a shard's scans, from their six points and volumes."""
    input:
        volumes="<results>/ct/{shard}",
        landmarks="<results>/landmarks/{shard}.parquet",
    output:
        bodies="<results>/spine_measures/{shard}.parquet",
        curves="<results>/spine_measures/{shard}_curves.parquet",
    log:
        "<logs>/spine_measures/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        code=code_of("spine_measures"),
        packages=packages_of("spine_measures"),
    script:
        "../workflow_scripts/spine_measures.py"
