rule evaluate:
    """Measure a method against the labels, with intervals by bootstrap over patients."""
    input:
        predictions="<results>/predictions/{method}.parquet",
        labels="<results>/cohort/labels.parquet",
        splits="<results>/cohort/splits.tsv",
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
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
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings_of("evaluation", "grading.fracture_grade"),
        subjects=subjects(),
        seed=SEED,
        code=code_of("evaluate"),
        packages=packages_of("evaluate"),
    script:
        "../workflow_scripts/evaluate.py"


rule differences:
    """Differences between a method and its baseline on the same test vertebrae, with paired intervals."""
    input:
        predictions="<results>/predictions/{method}.parquet",
        baseline=baseline_predictions,
        labels="<results>/cohort/labels.parquet",
        splits="<results>/cohort/splits.tsv",
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
    output:
        differences="<results>/evaluation/{method}/differences.json",
    log:
        "<logs>/differences/{method}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings_of(
            "evaluation.bootstrap_resamples",
            "evaluation.confidence",
            "evaluation.minimum_cases",
            "grading.fracture_grade",
        ),
        baseline=baseline_of,
        seed=SEED,
        code=code_of("differences"),
        packages=packages_of("differences"),
    script:
        "../workflow_scripts/differences.py"


rule figures:
    """Draw the curves, confusion matrix and calibration of all methods side by side."""
    input:
        metrics=expand("<results>/evaluation/{method}/metrics.json", method=METHODS),
        predictions=expand("<results>/predictions/{method}.parquet", method=METHODS),
        labels="<results>/cohort/labels.parquet",
        splits="<results>/cohort/splits.tsv",
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
    output:
        report(
            directory("<results>/evaluation/figures"),
            patterns=["{figure}.svg"],
            category="Figures",
            labels={"figure": "{figure}"},
            caption="../report/figures.rst",
        ),
    log:
        "<logs>/figures.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code_of("figures"),
        packages=packages_of("figures"),
    script:
        "../workflow_scripts/figures.py"


rule summary:
    """The figures of the run that other programs can rely on (docs/reference/summary.md)."""
    input:
        metrics=expand("<results>/evaluation/{method}/metrics.json", method=METHODS),
        grades="<results>/grades.csv",
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
    output:
        summary="<results>/summary.json",
    log:
        "<logs>/summary.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        manifests=f"{SETTINGS.run.results}/manifest",
        settings_sha256=SETTINGS_SHA256,
        code=code_of("summary"),
        packages=packages_of("summary"),
    script:
        "../workflow_scripts/summary.py"
