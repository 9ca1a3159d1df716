# What finds the spinal canal: as it ships, or as a frozen model has it.
CANAL_WEIGHTS = f"{canal_folder(SETTINGS.run.model, SHIPPED_WEIGHTS)}/{CANAL}"


rule straight_spines:
    """Straighten the spines of a shard's scans along their spinal canals, for the sequence model."""
    input:
        canal=CANAL_WEIGHTS,
        volumes="<results>/ct/{shard}",
        scans="<results>/landmarks/{shard}_scans.parquet",
        landmarks="<results>/landmarks/{shard}.parquet",
        crops="<results>/crops/{shard}.parquet",
    output:
        voxels="<results>/straightened/{shard}.npy",
        spines="<results>/straightened/{shard}.parquet",
        bodies="<results>/straightened/{shard}_bodies.parquet",
    log:
        "<logs>/straight_spines/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=growing(6000),
        runtime=growing(60),
    params:
        settings=settings_of("seq2seq.spine"),
        code=code_of("straight_spines"),
        packages=packages_of("straight_spines"),
    script:
        "../workflow_scripts/straight_spines.py"


rule train_seq2seq:
    """Train networks that read the whole spine; validation patients choose the step of each. Resumes by itself."""
    input:
        canal=CANAL_WEIGHTS,
        arrays=teaching("<results>/straightened/{shard}.npy"),
        spines=teaching("<results>/straightened/{shard}.parquet"),
        bodies=teaching("<results>/straightened/{shard}_bodies.parquet"),
        labels=teaching_labels,
        splits="<results>/cohort/splits.tsv",
    output:
        weights="<results>/seq2seq/weights.safetensors",
        metrics="<results>/seq2seq/training.json",
    log:
        "<logs>/train_seq2seq.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 8
    resources:
        gpu=GPU,
        mem_mb=growing(16000),
        runtime=1440,
    params:
        state_dir=f"{SETTINGS.run.results}/seq2seq/state",
        settings=settings_of("seq2seq", "grading.fracture_grade"),
        seed=SEED,
        code=code_of("train_seq2seq"),
        packages=packages_of("train_seq2seq"),
    script:
        "../workflow_scripts/train_seq2seq.py"


rule score_seq2seq:
    """Grade probabilities of a shard's vertebrae and scans by the networks that read the whole spine."""
    input:
        canal=CANAL_WEIGHTS,
        array="<results>/straightened/{shard}.npy",
        spines="<results>/straightened/{shard}.parquet",
        bodies="<results>/straightened/{shard}_bodies.parquet",
        weights=f"{MODEL}/seq2seq/weights.safetensors",
    output:
        scores="<results>/scores/seq2seq/{shard}.parquet",
        scans="<results>/scores/seq2seq/{shard}_scans.parquet",
    log:
        "<logs>/score_seq2seq/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        settings=settings_of("seq2seq.spine", "grading.fracture_grade"),
        code=code_of("score_seq2seq"),
        packages=packages_of("score_seq2seq"),
    script:
        "../workflow_scripts/score_seq2seq.py"


rule evaluate_seq2seq:
    """Measure how well patients are told apart by each network that reads the whole spine, and by all together."""
    input:
        scans=expand("<results>/scores/seq2seq/{shard}_scans.parquet", shard=SHARDS),
        labels="<results>/cohort/labels.parquet",
        splits="<results>/cohort/splits.tsv",
    output:
        metrics="<results>/evaluation/seq2seq/patients.json",
    log:
        "<logs>/evaluate_seq2seq.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        settings=settings_of("evaluation", "grading.fracture_grade"),
        seed=SEED,
        code=code_of("evaluate_seq2seq"),
        packages=packages_of("evaluate_seq2seq"),
    script:
        "../workflow_scripts/evaluate_seq2seq.py"
