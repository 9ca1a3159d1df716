rule phantom:
    """Make the phantom scans of a shard: DICOM series, VerSe annotations and the truth behind them."""
    output:
        dicom=directory("<results>/phantom/{shard}/dicom"),
        annotations=directory("<results>/phantom/{shard}/annotations"),
        truth="<results>/phantom/{shard}/truth.parquet",
    log:
        "<logs>/phantom/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        rows=rows_of("months"),
        settings=settings_of(
            "phantom.fractured_patients",
            "phantom.fractures_per_patient",
            "phantom.subthreshold",
            "phantom.mimics",
            "phantom.scoliosis",
            "phantom.max_scoliosis_degrees",
            "phantom.variants",
            "phantom.slips",
            "phantom.acquisition",
        ),
        seed=SEED,
        code=code_of("phantom"),
        packages=packages_of("phantom"),
    script:
        "../workflow_scripts/phantom.py"
