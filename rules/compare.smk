# All methods side by side: `snakemake compare`. Not part of the default target.


rule compare_methods:
    """Compare all methods on the test vertebrae that each of them graded, with paired intervals."""
    input:
        predictions=expand("<results>/predictions/{method}.parquet", method=METHODS),
        labels="<results>/cohort/labels.parquet",
        splits="<results>/cohort/splits.tsv",
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
    output:
        comparison="<results>/compare/comparison.csv",
        cases="<results>/compare/cases.parquet",
        left_out="<results>/compare/left_out.csv",
    log:
        "<logs>/compare_methods.log",
    benchmark:
        "<benchmarks>/compare_methods.tsv"
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
        methods=METHODS,
        seed=SEED,
        code=code_of("compare_methods"),
        packages=packages_of("compare_methods"),
    script:
        "../workflow_scripts/compare_methods.py"


rule compare:
    """The page and the figure of all methods side by side."""
    input:
        comparison="<results>/compare/comparison.csv",
        left_out="<results>/compare/left_out.csv",
    output:
        page="<results>/compare/comparison.html",
        svg="<results>/compare/comparison.svg",
        pdf="<results>/compare/comparison.pdf",
    log:
        "<logs>/compare.log",
    benchmark:
        "<benchmarks>/compare.tsv"
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=settings_of("evaluation.confidence"),
        phantom=PHANTOM,
        code=code_of("compare"),
        packages=packages_of("compare"),
    script:
        "../workflow_scripts/compare.py"
