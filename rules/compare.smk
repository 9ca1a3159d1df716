# All methods side by side: `snakemake compare`. Of it only `compare_methods` is part of the default target.

# Methods whose labels enter only after their latents; a given model's own patients are not here.
CURVED = [name for name in METHODS if name in LATENT_METHODS and not SETTINGS.run.model]
OWN_CHALLENGE = f"{SETTINGS.run.results}/virtual/challenge.json"


rule compare_methods:
    """Compare all methods on the test vertebrae that each of them graded, with paired intervals."""
    input:
        predictions=expand("<results>/predictions/{method}.parquet", method=METHODS),
        scan_scores=(
            expand("<results>/scores/seq2seq/{shard}_scans.parquet", shard=SHARDS)
            if "seq2seq" in METHODS
            else []
        ),
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


rule compare_groups:
    """False alarms by what looks like a fracture, and figures by how the scans were made, of all methods."""
    input:
        cases="<results>/compare/cases.parquet",
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
        appearance=expand("<results>/appearance/{shard}.parquet", shard=SHARDS),
        truth=(
            expand("<results>/phantom/{shard}/truth.parquet", shard=SHARDS)
            if PHANTOM
            else []
        ),
    output:
        groups="<results>/compare/groups.csv",
    log:
        "<logs>/compare_groups.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings_of("evaluation", "grading.fracture_grade"),
        seed=SEED,
        code=code_of("compare_groups"),
        packages=packages_of("compare_groups"),
    script:
        "../workflow_scripts/compare_groups.py"


rule learning_curve:
    """How good a method grades when only a share of the training patients is labelled."""
    input:
        latents=teaching_latents,
        labels=teaching_labels,
        splits="<results>/cohort/splits.tsv",
        cases="<results>/compare/cases.parquet",
    output:
        curve="<results>/compare/learning/{method}.csv",
    log:
        "<logs>/learning_curve/{method}.log",
    wildcard_constraints:
        method="|".join(LATENT_METHODS),
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        settings=settings_of(
            "compare",
            "evaluation.minimum_cases",
            "grading.fracture_grade",
            "grading.classifier",
            "grading.folds",
            "grading.calibration",
            "grading.coverage",
        ),
        seed=SEED,
        code=code_of("learning_curve"),
        packages=packages_of("learning_curve"),
    script:
        "../workflow_scripts/learning_curve.py"


rule compare:
    """The page and the figure of all methods side by side."""
    input:
        comparison="<results>/compare/comparison.csv",
        left_out="<results>/compare/left_out.csv",
        learning=expand("<results>/compare/learning/{method}.csv", method=CURVED),
        groups="<results>/compare/groups.csv",
        predictions=expand("<results>/predictions/{method}.parquet", method=METHODS),
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        seq2seq=(
            "<results>/evaluation/seq2seq/patients.json"
            if "seq2seq" in METHODS
            else []
        ),
        challenge=OWN_CHALLENGE if os.path.isfile(OWN_CHALLENGE) else [],
        applied=applied_files(),
        calibrator=f"{MODEL}/grading/{MAIN}/calibrator.json" if applied_files() else [],
    output:
        cost="<results>/compare/cost.csv",
        page="<results>/compare/comparison.html",
        svg="<results>/compare/comparison.svg",
        pdf="<results>/compare/comparison.pdf",
    log:
        "<logs>/compare.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=settings_of("evaluation.confidence"),
        methods=METHODS,
        phantom=PHANTOM,
        code=code_of("compare"),
        packages=packages_of("compare"),
    script:
        "../workflow_scripts/compare.py"
