rule export:
    """All that `export.write` asks for. Fails where the program failed at a scan; what was written of others stays."""
    input:
        export_folders,
    output:
        "<results>-export/outcome.txt",
    log:
        "<logs>/export.log",
    retries: 0  # its outcome is certain; a profile's `retries` would only repeat it
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code_of("export"),
        packages=packages_of("export"),
    script:
        "../workflow_scripts/export.py"


rule export_scans:
    """Write a shard's results as DICOM, FHIR, markups, label maps; the patient is read again from the user's DICOM."""
    input:
        scan_files,
        volumes="<results>/ct/{shard}",
        patients="<results>/patients",
        pictures="<results>/localization/{shard}",
        strips=strip_files,
        predictions=f"<results>/predictions/{MAIN}.parquet",
        hyperplane=f"{MODEL}/grading/{MAIN}/hyperplane.json",
    output:
        folder=directory("<results>-export/{shard}"),
    log:
        "<logs>/export_scans/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        rows=rows_of("path", "series"),
        unlisted=unlisted("path"),
        method=MAIN,
        write=sorted(SETTINGS.export.write),
        settings=settings_of(
            "ct",
            "dae.model.hu_low",
            "dae.model.hu_high",
            *WINDOW,
        ),
        code=code_of("export_scans"),
        packages=packages_of("export_scans"),
    script:
        "../workflow_scripts/export_scans.py"
