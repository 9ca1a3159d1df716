# What the network sees: crops in 2D, patches in 3D, and the settings that say of how many millimetres they are.
SUPERVISED_SEES = (
    "crops" if SETTINGS.supervised.model.network == "densenet" else "patches"
)
SUPERVISED_GEOMETRY = settings_of(
    "crop.smoothing_mm",
    *(
        ["crop.size", "crop.pixel_mm", "crop.slices", "crop.slice_spacing_mm"]
        if SUPERVISED_SEES == "crops"
        else ["patches"]
    ),
)


rule train_supervised:
    """Train a network on the grades of the training split; validation patients choose the step. Resumes by itself."""
    input:
        arrays=teaching(f"<results>/{SUPERVISED_SEES}/{{shard}}.npy"),
        tables=teaching(f"<results>/{SUPERVISED_SEES}/{{shard}}.parquet"),
        labels=teaching_labels,
        splits="<results>/cohort/splits.tsv",
    output:
        weights="<results>/supervised/weights.safetensors",
        metrics="<results>/supervised/training.json",
    log:
        "<logs>/train_supervised.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 8
    resources:
        gpu=GPU,
        mem_mb=growing(16000),
        runtime=1440,
    params:
        state_dir=f"{SETTINGS.run.results}/supervised/state",
        settings=settings_of("supervised"),
        geometry=SUPERVISED_GEOMETRY,
        seed=SEED,
        code=code_of("train_supervised"),
        packages=packages_of("train_supervised"),
    script:
        "../workflow_scripts/train_supervised.py"


rule score_supervised:
    """Grade probabilities of a shard's vertebrae by the network that was trained on grades."""
    input:
        array=f"<results>/{SUPERVISED_SEES}/{{shard}}.npy",
        table=f"<results>/{SUPERVISED_SEES}/{{shard}}.parquet",
        weights=f"{MODEL}/supervised/weights.safetensors",
    output:
        scores="<results>/scores/supervised/{shard}.parquet",
    log:
        "<logs>/score_supervised/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        geometry=SUPERVISED_GEOMETRY,
        code=code_of("score_supervised"),
        packages=packages_of("score_supervised"),
    script:
        "../workflow_scripts/score_supervised.py"
