rule follow_up:
    """Compare the scans of a patient that have months: which vertebra is which, what its heights lost, new fractures."""
    input:
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        landmarks=expand("<results>/landmarks/{shard}.parquet", shard=SHARDS),
        measurements=expand("<results>/measurements/{shard}.parquet", shard=SHARDS),
        predictions=f"<results>/predictions/{MAIN}.parquet",
    output:
        vertebrae="<results>/follow_up/vertebrae.parquet",
        scans="<results>/follow_up/scans.parquet",
        table="<results>/follow_up.csv",
    log:
        "<logs>/follow_up.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        pairs=FOLLOWED,
        settings=settings_of("follow_up", "grading.fracture_grade"),
        code=code_of("follow_up"),
        packages=packages_of("follow_up"),
    script:
        "../workflow_scripts/follow_up.py"
