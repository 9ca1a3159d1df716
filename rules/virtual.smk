# Virtual fractures, made of the cohort's scans; then the same stages as of any scan, in <results>/virtual.


rule virtual_fractures:
    """Collapse vertebrae of a shard's scans in the volume: VIRTUAL fractures, shams beside them, and the truth."""
    input:
        volumes="<results>/ct/{shard}",
        scans="<results>/landmarks/{shard}_scans.parquet",
        landmarks="<results>/landmarks/{shard}.parquet",
        measurements="<results>/measurements/{shard}.parquet",
        splits=[] if TAUGHT_VIRTUALLY else "<results>/cohort/splits.tsv",
    output:
        volumes=directory("<results>/virtual/ct/{shard}"),
        scans="<results>/virtual/ct/{shard}.parquet",
        truth="<results>/virtual/truth/{shard}.parquet",
    log:
        "<logs>/virtual_fractures/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        rows=virtual_rows,
        seed=SEED,
        code=code_of("virtual_fractures"),
        packages=packages_of("virtual_fractures"),
    script:
        "../workflow_scripts/virtual_fractures.py"


use rule localize as localize_virtual with:
    input:
        found_by=virtual_localizer_files,
        sight=SIGHT_WEIGHTS,
        volumes="<results>/virtual/ct/{shard}",
        scans="<results>/virtual/ct/{shard}.parquet",
    output:
        landmarks="<results>/virtual/landmarks/{shard}.parquet",
        states="<results>/virtual/landmarks/{shard}_scans.parquet",
    log:
        "<logs>/localize_virtual/{shard}.log",
    resources:
        gpu=0 if SETTINGS.localize.method == "provided" else GPU,
        mem_mb=growing(3000 if SETTINGS.localize.method == "provided" else 6000),
        runtime=virtual_minutes,
    params:
        rows=virtual_rows,
        unlisted=[],
        overrides=[],
        marks={},


use rule crop as crop_virtual with:
    input:
        volumes="<results>/virtual/ct/{shard}",
        scans="<results>/virtual/landmarks/{shard}_scans.parquet",
        landmarks="<results>/virtual/landmarks/{shard}.parquet",
    output:
        pixels="<results>/virtual/crops/{shard}.npy",
        frames="<results>/virtual/crops/{shard}_frames.npy",
        crops="<results>/virtual/crops/{shard}.parquet",
    log:
        "<logs>/crop_virtual/{shard}.log",


use rule patches as patches_virtual with:
    input:
        volumes="<results>/virtual/ct/{shard}",
        landmarks="<results>/virtual/landmarks/{shard}.parquet",
        crops="<results>/virtual/crops/{shard}.parquet",
    output:
        voxels="<results>/virtual/patches/{shard}.npy",
        patches="<results>/virtual/patches/{shard}.parquet",
    log:
        "<logs>/patches_virtual/{shard}.log",


use rule measure as measure_virtual with:
    input:
        landmarks="<results>/virtual/landmarks/{shard}.parquet",
        heights=f"{MODEL}/{INTACT_HEIGHTS}",
    output:
        measurements="<results>/virtual/measurements/{shard}.parquet",
        latents="<results>/virtual/latents/keypoints/{shard}.parquet",
    log:
        "<logs>/measure_virtual/{shard}.log",


use rule encode as encode_virtual with:
    input:
        pixels="<results>/virtual/crops/{shard}.npy",
        crops="<results>/virtual/crops/{shard}.parquet",
        weights=f"{MODEL}/dae/weights.safetensors",
    output:
        latents="<results>/virtual/latents/dae/{shard}.parquet",
    log:
        "<logs>/encode_virtual/{shard}.log",


rule virtual_labels:
    """Grades of a shard's virtual fractures, and grade 0 for shams, untouched and the scans' own intact vertebrae."""
    input:
        truth="<results>/virtual/truth/{shard}.parquet",
        landmarks="<results>/virtual/landmarks/{shard}.parquet",
        measurements="<results>/measurements/{shard}.parquet",
    output:
        labels="<results>/virtual/labels/{shard}.parquet",
    log:
        "<logs>/virtual_labels/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code_of("virtual_labels"),
        packages=packages_of("virtual_labels"),
    script:
        "../workflow_scripts/virtual_labels.py"


use rule encode_pca as encode_pca_virtual with:
    input:
        pixels="<results>/virtual/crops/{shard}.npy",
        crops="<results>/virtual/crops/{shard}.parquet",
        components="<results>/pca/components.safetensors",
    output:
        latents="<results>/virtual/latents/pca/{shard}.parquet",
    log:
        "<logs>/encode_pca_virtual/{shard}.log",


use rule appearance as appearance_virtual with:
    input:
        pixels="<results>/virtual/crops/{shard}.npy",
        crops="<results>/virtual/crops/{shard}.parquet",
    output:
        appearance="<results>/virtual/appearance/{shard}.parquet",
    log:
        "<logs>/appearance_virtual/{shard}.log",


use rule grade as grade_virtual with:
    input:
        latents=virtual_latents_of,
        appearance=expand("<results>/virtual/appearance/{shard}.parquet", shard=SHARDS),
        splits="<results>/cohort/splits.tsv",
        hyperplane=f"{MODEL}/grading/{{method}}/hyperplane.json",
        calibrator=f"{MODEL}/grading/{{method}}/calibrator.json",
        novelty=f"{MODEL}/grading/{{method}}/novelty.json",
    output:
        predictions="<results>/virtual/predictions/{method}.parquet",
    log:
        "<logs>/grade_virtual/{method}.log",


use rule score_supervised as score_supervised_virtual with:
    input:
        array=f"<results>/virtual/{SUPERVISED_SEES}/{{shard}}.npy",
        table=f"<results>/virtual/{SUPERVISED_SEES}/{{shard}}.parquet",
        weights=f"{MODEL}/supervised/weights.safetensors",
    output:
        scores="<results>/virtual/scores/supervised/{shard}.parquet",
    log:
        "<logs>/score_supervised_virtual/{shard}.log",


use rule score_supcon as score_supcon_virtual with:
    input:
        array="<results>/virtual/patches/{shard}.npy",
        table="<results>/virtual/patches/{shard}.parquet",
        weights=f"{MODEL}/supcon/weights.safetensors",
    output:
        scores="<results>/virtual/scores/supcon/{shard}.parquet",
    log:
        "<logs>/score_supcon_virtual/{shard}.log",


use rule straight_spines as straight_spines_virtual with:
    input:
        canal=CANAL_WEIGHTS,
        volumes="<results>/virtual/ct/{shard}",
        scans="<results>/virtual/landmarks/{shard}_scans.parquet",
        landmarks="<results>/virtual/landmarks/{shard}.parquet",
        crops="<results>/virtual/crops/{shard}.parquet",
    output:
        voxels="<results>/virtual/straightened/{shard}.npy",
        spines="<results>/virtual/straightened/{shard}.parquet",
        bodies="<results>/virtual/straightened/{shard}_bodies.parquet",
    log:
        "<logs>/straight_spines_virtual/{shard}.log",


use rule score_seq2seq as score_seq2seq_virtual with:
    input:
        canal=CANAL_WEIGHTS,
        array="<results>/virtual/straightened/{shard}.npy",
        spines="<results>/virtual/straightened/{shard}.parquet",
        bodies="<results>/virtual/straightened/{shard}_bodies.parquet",
        weights=f"{MODEL}/seq2seq/weights.safetensors",
    output:
        scores="<results>/virtual/scores/seq2seq/{shard}.parquet",
        scans="<results>/virtual/scores/seq2seq/{shard}_scans.parquet",
    log:
        "<logs>/score_seq2seq_virtual/{shard}.log",


use rule grade_scores as grade_scores_virtual with:
    input:
        scores=virtual_scores_of,
        splits="<results>/cohort/splits.tsv",
        probabilities=f"{MODEL}/grading/{{method}}/probabilities.json",
    output:
        predictions="<results>/virtual/predictions/{method}.parquet",
    log:
        "<logs>/grade_scores_virtual/{method}.log",
