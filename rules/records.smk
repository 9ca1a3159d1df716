rule patients:
    """A record per patient as JSON, tables of all vertebrae and curves, and a description of the results."""
    input:
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        landmarks=expand("<results>/landmarks/{shard}.parquet", shard=SHARDS),
        measurements=expand("<results>/measurements/{shard}.parquet", shard=SHARDS),
        bodies=expand("<results>/spine_measures/{shard}.parquet", shard=SHARDS),
        curves=expand("<results>/spine_measures/{shard}_curves.parquet", shard=SHARDS),
        predictions=expand("<results>/predictions/{method}.parquet", method=METHODS),
        grades="<results>/grades.csv",
    output:
        patients=directory("<results>/patients"),
        vertebrae="<results>/vertebrae.csv",
        curves="<results>/curves.csv",
        description="<results>/dataset_description.json",
    log:
        "<logs>/patients.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        about={"phantoms": PHANTOM, "model": bool(SETTINGS.run.model)},
        code=code_of("patients"),
        packages=packages_of("patients"),
    script:
        "../workflow_scripts/patients.py"
