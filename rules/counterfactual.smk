rule collapse_crops:
    """Crops of intact training vertebrae, as they are and collapsed in place, of a shard's scans."""
    input:
        volumes="<results>/ct/{shard}",
        scans="<results>/ct/{shard}.parquet",
        landmarks="<results>/landmarks/{shard}.parquet",
        measurements="<results>/measurements/{shard}.parquet",
        crops="<results>/crops/{shard}.parquet",
        frames="<results>/crops/{shard}_frames.npy",
        splits="<results>/cohort/splits.tsv",
    output:
        pixels="<results>/collapsed/{shard}.npy",
        crops="<results>/collapsed/{shard}.parquet",
    log:
        "<logs>/collapse_crops/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
    params:
        settings=settings_of("crop", "dae.counterfactual.pairs"),
        seed=SEED,
        code=code_of("collapse_crops"),
        packages=packages_of("collapse_crops"),
    script:
        "../workflow_scripts/collapse_crops.py"


rule fit_steps:
    """Learn what a latent changes by when a vertebra loses height."""
    input:
        pixels=expand("<results>/collapsed/{shard}.npy", shard=SHARDS),
        crops=expand("<results>/collapsed/{shard}.parquet", shard=SHARDS),
        weights="<results>/dae/weights.safetensors",
    output:
        steps="<results>/collapsed/steps.safetensors",
    log:
        "<logs>/fit_steps.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        settings=settings_of("dae.encode"),
        code=code_of("fit_steps"),
        packages=packages_of("fit_steps"),
    script:
        "../workflow_scripts/fit_steps.py"


rule counterfactual:
    """Draw test and suspicious vertebrae as they would look at other grades, and measure what was drawn."""
    input:
        pixels=expand("<results>/crops/{shard}.npy", shard=SHARDS),
        frames=expand("<results>/crops/{shard}_frames.npy", shard=SHARDS),
        landmarks=expand("<results>/landmarks/{shard}.parquet", shard=SHARDS),
        measurements=expand("<results>/measurements/{shard}.parquet", shard=SHARDS),
        latents=expand("<results>/latents/dae/{shard}.parquet", shard=SHARDS),
        weights=f"{MODEL}/dae/weights.safetensors",
        steps=f"{MODEL}/collapsed/steps.safetensors",
        hyperplane=f"{MODEL}/grading/dae/hyperplane.json",
        calibrator=f"{MODEL}/grading/dae/calibrator.json",
        refiner=REFINER,
        predictions="<results>/predictions/dae.parquet",
        grades="<results>/grades.csv",
    output:
        images="<results>/counterfactual/images.npy",
        strips="<results>/counterfactual/strips.parquet",
        metrics="<results>/counterfactual/metrics.json",
    log:
        "<logs>/counterfactual.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 2
    resources:
        gpu=GPU,
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        settings=settings_of(
            "crop",
            "dae.counterfactual.vertebrae",
            "dae.counterfactual.suspicious",
            "dae.counterfactual.shapes",
            "dae.counterfactual.rounds",
            "dae.counterfactual.render_steps",
            "dae.counterfactual.lowest_level",
        ),
        seed=SEED,
        code=code_of("counterfactual"),
        packages=packages_of("counterfactual"),
    script:
        "../workflow_scripts/counterfactual.py"


rule rivals:
    """Bend the crops of the drawn vertebrae to the same heights, and ask which kind of picture looks more like CT."""
    input:
        images="<results>/counterfactual/images.npy",
        strips="<results>/counterfactual/strips.parquet",
        pixels=expand("<results>/crops/{shard}.npy", shard=SHARDS),
        frames=expand("<results>/crops/{shard}_frames.npy", shard=SHARDS),
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
        landmarks=expand("<results>/landmarks/{shard}.parquet", shard=SHARDS),
        measurements=expand("<results>/measurements/{shard}.parquet", shard=SHARDS),
        refiner=REFINER,
    output:
        images="<results>/counterfactual/rivals.npy",
        figures="<results>/counterfactual/rivals.json",
    log:
        "<logs>/rivals.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        settings=settings_of(
            "crop",
            "dae.model",
            "dae.counterfactual.rounds",
            "evaluation.bootstrap_resamples",
            "evaluation.confidence",
            "evaluation.minimum_cases",
        ),
        seed=SEED,
        code=code_of("rivals"),
        packages=packages_of("rivals"),
    script:
        "../workflow_scripts/rivals.py"
