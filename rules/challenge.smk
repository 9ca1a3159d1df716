# How well virtual fractures are graded: `snakemake challenge`. Not part of the default target.

VIRTUAL_TRUTHS = expand("<results>/virtual/truth/{shard}.parquet", shard=SHARDS)
VIRTUAL_LANDMARKS = expand("<results>/virtual/landmarks/{shard}.parquet", shard=SHARDS)
VIRTUAL_CROPS = expand("<results>/virtual/crops/{shard}.parquet", shard=SHARDS)
VIRTUAL_PIXELS = expand("<results>/virtual/crops/{shard}.npy", shard=SHARDS)
OWN_CROPS = expand("<results>/crops/{shard}.parquet", shard=SHARDS)
OWN_PIXELS = expand("<results>/crops/{shard}.npy", shard=SHARDS)


rule credibility:
    """See whether a classifier can tell shams from untouched vertebrae, and virtual from real fractures."""
    input:
        truth=VIRTUAL_TRUTHS,
        landmarks=VIRTUAL_LANDMARKS,
        crops=VIRTUAL_CROPS + OWN_CROPS,
        pixels=VIRTUAL_PIXELS + OWN_PIXELS,
        labels=labels_table(),
    output:
        card="<results>/virtual/credibility.json",
    log:
        "<logs>/credibility.log",
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
        ),
        seed=SEED,
        code=code_of("credibility"),
        packages=packages_of("credibility"),
    script:
        "../workflow_scripts/credibility.py"


rule evaluate_challenge:
    """Measure how every method grades virtual fractures, against what is true of them."""
    input:
        truth=VIRTUAL_TRUTHS,
        landmarks=VIRTUAL_LANDMARKS,
        measurements=expand(
            "<results>/virtual/measurements/{shard}.parquet", shard=SHARDS
        ),
        scans=expand("<results>/virtual/landmarks/{shard}_scans.parquet", shard=SHARDS),
        virtual=expand("<results>/virtual/predictions/{method}.parquet", method=METHODS),
        own=expand("<results>/predictions/{method}.parquet", method=METHODS),
        labels=labels_table(),
        splits="<results>/cohort/splits.tsv",
        credibility="<results>/virtual/credibility.json",
    output:
        numbers="<results>/virtual/challenge.json",
        cases="<results>/virtual/challenge.parquet",
    log:
        "<logs>/evaluate_challenge.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings_of("evaluation", "grading.fracture_grade"),
        methods=METHODS,
        seed=SEED,
        code=code_of("evaluate_challenge"),
        packages=packages_of("evaluate_challenge"),
    script:
        "../workflow_scripts/evaluate_challenge.py"


rule challenge:
    """The page of the challenge: at what loss VIRTUAL fractures of the cohort's scans are noticed, with pictures."""
    input:
        numbers="<results>/virtual/challenge.json",
        cases="<results>/virtual/challenge.parquet",
        virtual_crops=VIRTUAL_CROPS,
        virtual_pixels=VIRTUAL_PIXELS,
        own_crops=OWN_CROPS,
        own_pixels=OWN_PIXELS,
    output:
        page="<results>/virtual/challenge.html",
    log:
        "<logs>/challenge.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=settings_of(*WINDOW),
        about=challenge_notes(),
        code=code_of("challenge"),
        packages=packages_of("challenge"),
    script:
        "../workflow_scripts/challenge.py"
