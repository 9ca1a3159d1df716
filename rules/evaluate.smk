rule evaluate:
    """Measure a method against the labels, with intervals by bootstrap over patients."""
    input:
        predictions="<results>/predictions/{method}.parquet",
        calibrator="<results>/grading/{method}/calibrator.json",
        labels="<results>/cohort/labels.parquet",
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
    output:
        metrics="<results>/evaluation/{method}/metrics.json",
        table=report(
            "<results>/evaluation/{method}/metrics.tsv",
            category="Metrics",
            labels={"method": "{method}"},
            caption="../report/metrics.rst",
        ),
    log:
        "<logs>/evaluate/{method}.log",
    benchmark:
        "<benchmarks>/evaluate/{method}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=settings_of("evaluation"),
        seed=SEED,
        code=code_of("evaluate"),
    script:
        "../workflow_scripts/evaluate.py"


rule figures:
    """Draw a method's curves, confusion matrix and calibration."""
    input:
        predictions="<results>/predictions/{method}.parquet",
        calibrator="<results>/grading/{method}/calibrator.json",
        labels="<results>/cohort/labels.parquet",
    output:
        report(
            directory("<results>/evaluation/{method}/figures"),
            patterns=["{figure}.svg"],
            category="Figures",
            labels={"method": "{method}", "figure": "{figure}"},
            caption="../report/figures.rst",
        ),
    log:
        "<logs>/figures/{method}.log",
    benchmark:
        "<benchmarks>/figures/{method}.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("figures"),
    script:
        "../workflow_scripts/figures.py"


rule summary:
    """The figures of the run that other programs can rely on (docs/summary.md)."""
    input:
        metrics=expand("<results>/evaluation/{method}/metrics.json", method=METHODS),
        predictions=expand("<results>/predictions/{method}.parquet", method=METHODS),
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
    output:
        summary="<results>/summary.json",
    log:
        "<logs>/summary.log",
    benchmark:
        "<benchmarks>/summary.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        manifests=f"{SETTINGS.run.results}/manifest",
        settings_sha256=SETTINGS_SHA256,
        code=code_of("summary"),
    script:
        "../workflow_scripts/summary.py"
