rule convert:
    """Turn the scans of a shard (DICOM folder, zip, NIfTI) into canonical volumes, or say why not."""
    input:
        scan_files,
    output:
        volumes=directory("<results>/ct/{shard}"),
        scans="<results>/ct/{shard}.parquet",
    log:
        "<logs>/convert/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(SETTINGS.ct.memory_mb + 500),
        runtime=growing(60),
    params:
        rows=rows_of("path", "series"),
        unlisted=unlisted("path"),
        settings=settings_of("ct"),
        code=code_of("convert"),
        packages=packages_of("convert"),
    script:
        "../workflow_scripts/convert.py"
