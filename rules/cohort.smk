rule split:
    """Split the patients, and refuse a cohort in which a patient or an image is in two splits."""
    input:
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        official=official_split_files(),
    output:
        splits="<results>/cohort/splits.tsv",
    log:
        "<logs>/split.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        given=given_splits(),
        settings=settings_of("cohort.splits"),
        code=code_of("split"),
        packages=packages_of("split"),
    script:
        "../workflow_scripts/split.py"


rule labels:
    """Read the Genant grades and say how many of the cropped vertebrae have one."""
    input:
        tables=label_tables,
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
        splits="<results>/cohort/splits.tsv",
    output:
        labels="<results>/cohort/labels.parquet",
        coverage="<results>/cohort/label_coverage.tsv",
    log:
        "<logs>/labels.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code_of("labels"),
        packages=packages_of("labels"),
    script:
        "../workflow_scripts/labels.py"
