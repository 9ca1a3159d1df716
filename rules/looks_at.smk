rule looks_at:
    """Where in the crop the severity comes from, and what one grade changes in the three heights."""
    input:
        pixels=expand("<results>/crops/{shard}.npy", shard=SHARDS),
        frames=expand("<results>/crops/{shard}_frames.npy", shard=SHARDS),
        landmarks=expand("<results>/landmarks/{shard}.parquet", shard=SHARDS),
        measurements=expand("<results>/measurements/{shard}.parquet", shard=SHARDS),
        predictions="<results>/predictions/dae.parquet",
        strips="<results>/counterfactual/strips.parquet",
        dae=expand("<results>/latents/dae/{shard}.parquet", shard=SHARDS),
        dae_hyperplane=f"{MODEL}/grading/dae/hyperplane.json",
        dae_calibrator=f"{MODEL}/grading/dae/calibrator.json",
        weights=f"{MODEL}/dae/weights.safetensors",
        pca=expand("<results>/latents/pca/{shard}.parquet", shard=SHARDS),
        pca_hyperplane=f"{MODEL}/grading/pca/hyperplane.json",
        pca_calibrator=f"{MODEL}/grading/pca/calibrator.json",
        components=f"{MODEL}/pca/components.safetensors",
    output:
        maps="<results>/counterfactual/looks_at.npy",
        areas="<results>/counterfactual/areas.npy",
        table="<results>/counterfactual/looks_at.parquet",
        metrics="<results>/counterfactual/looks_at.json",
        heights="<results>/counterfactual/grade_heights.parquet",
    log:
        "<logs>/looks_at.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=growing(6000),
        runtime=growing(60),
    params:
        settings=settings_of(
            "crop",
            "dae.counterfactual.vertebrae",
            "evaluation.bootstrap_resamples",
            "evaluation.confidence",
            "evaluation.minimum_cases",
        ),
        seed=SEED,
        code=code_of("looks_at"),
        packages=packages_of("looks_at"),
    script:
        "../workflow_scripts/looks_at.py"


rule looks_at_figure:
    """Where the severity comes from, averaged by grade over the mean crop, and what the pictures change."""
    input:
        maps="<results>/counterfactual/looks_at.npy",
        areas="<results>/counterfactual/areas.npy",
        table="<results>/counterfactual/looks_at.parquet",
        pixels=expand("<results>/crops/{shard}.npy", shard=SHARDS),
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
        images="<results>/counterfactual/images.npy",
        strips="<results>/counterfactual/strips.parquet",
    output:
        report(
            "<results>/report/looks_at.png",
            category="Pictures",
            caption="../report/looks_at.rst",
        ),
    log:
        "<logs>/looks_at_figure.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=settings_of(
            "dae.model.hu_low",
            "dae.model.hu_high",
            *WINDOW,
        ),
        code=code_of("looks_at_figure"),
        packages=packages_of("looks_at_figure"),
    script:
        "../workflow_scripts/looks_at_figure.py"
