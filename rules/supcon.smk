SUPCON_GEOMETRY = settings_of("crop.smoothing_mm", "patches")


rule train_supcon:
    """Train a 3D network on grades, with a contrastive loss; validation patients choose the step. Resumes by itself."""
    input:
        arrays=teaching("<results>/patches/{shard}.npy"),
        tables=teaching("<results>/patches/{shard}.parquet"),
        labels=teaching_labels,
        splits="<results>/cohort/splits.tsv",
    output:
        weights="<results>/supcon/weights.safetensors",
        metrics="<results>/supcon/training.json",
    log:
        "<logs>/train_supcon.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 8
    resources:
        gpu=GPU,
        mem_mb=growing(16000),
        runtime=1440,
    params:
        state_dir=f"{SETTINGS.run.results}/supcon/state",
        settings=settings_of("supcon", "grading.fracture_grade"),
        geometry=SUPCON_GEOMETRY,
        seed=SEED,
        code=code_of("train_supcon"),
        packages=packages_of("train_supcon"),
    script:
        "../workflow_scripts/train_supcon.py"


rule score_supcon:
    """Grade probabilities of a shard's vertebrae by the contrastively trained network."""
    input:
        array="<results>/patches/{shard}.npy",
        table="<results>/patches/{shard}.parquet",
        weights=f"{MODEL}/supcon/weights.safetensors",
    output:
        scores="<results>/scores/supcon/{shard}.parquet",
    log:
        "<logs>/score_supcon/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        geometry=SUPCON_GEOMETRY,
        code=code_of("score_supcon"),
        packages=packages_of("score_supcon"),
    script:
        "../workflow_scripts/score_supcon.py"
