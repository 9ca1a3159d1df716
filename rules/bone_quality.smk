# Bone quality in spinal metastasis: `snakemake metastasis`. Not part of the default target; no Genant grades.


rule metastasis:
    """The page of bone quality, with all that it is made of."""
    input:
        "<results>/metastasis/report.html",


rule metastasis_phantom:
    """Make the patients of a shard with PHANTOM lesions, in the layout of Spine-Mets-CT-SEG, and their truth."""
    output:
        cases=directory("<results>/metastasis/phantom/{shard}/cases"),
        codes=directory("<results>/metastasis/phantom/{shard}/codes"),
        truth="<results>/metastasis/phantom/{shard}/truth.parquet",
    log:
        "<logs>/metastasis_phantom/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(120),
    params:
        rows=lesion_rows,
        settings=settings_of(
            "metastasis.phantom",
            "phantom.fractured_patients",
            "phantom.fractures_per_patient",
            "phantom.subthreshold",
            "phantom.mimics",
            "phantom.scoliosis",
            "phantom.max_scoliosis_degrees",
            "phantom.variants",
            "phantom.slips",
            "phantom.acquisition",
        ),
        seed=SEED,
        code=code_of("metastasis_phantom"),
        packages=packages_of("metastasis_phantom"),
    script:
        "../workflow_scripts/metastasis_phantom.py"


use rule convert as convert_metastasis with:
    input:
        lesion_cases,
    output:
        volumes=directory("<results>/metastasis/ct/{shard}"),
        scans="<results>/metastasis/ct/{shard}.parquet",
    log:
        "<logs>/convert_metastasis/{shard}.log",
    params:
        rows=lesion_rows,
        unlisted=unlisted_cases,


rule lesion_slices:
    """Cut the vertebrae of a shard's scans into axial slices, with what is known of their lesions."""
    input:
        cases=lesion_cases,
        volumes="<results>/metastasis/ct/{shard}",
        scans="<results>/metastasis/ct/{shard}.parquet",
        truth=(
            "<results>/metastasis/phantom/{shard}/truth.parquet"
            if LESIONS_ARE_DRAWN
            else []
        ),
        codes=(
            "<results>/metastasis/phantom/{shard}/codes" if LESIONS_ARE_DRAWN else []
        ),
        clinical=(
            [] if LESIONS_ARE_DRAWN else f"{SETTINGS.metastasis.folder}/{CLINICAL}"
        ),
    output:
        slices="<results>/metastasis/slices/{shard}.npy",
        labels="<results>/metastasis/slices/{shard}_labels.parquet",
        known="<results>/metastasis/slices/{shard}_slices.parquet",
        scans="<results>/metastasis/slices/{shard}_scans.parquet",
    log:
        "<logs>/lesion_slices/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        rows=lesion_rows,
        unlisted=unlisted_cases,
        settings=settings_of("metastasis.slices", "cohort.splits"),
        code=code_of("lesion_slices"),
        packages=packages_of("lesion_slices"),
    script:
        "../workflow_scripts/lesion_slices.py"


rule train_bone_quality:
    """Train the network of two tasks, or its baseline, on vertebrae with known lesions; resumes by itself."""
    input:
        labels=expand(
            "<results>/metastasis/slices/{shard}_labels.parquet", shard=LESION_SHARDS
        ),
        known=expand(
            "<results>/metastasis/slices/{shard}_slices.parquet", shard=LESION_SHARDS
        ),
        slices=expand("<results>/metastasis/slices/{shard}.npy", shard=LESION_SHARDS),
    output:
        weights="<results>/metastasis/{network}/weights.safetensors",
        metrics="<results>/metastasis/{network}/training.json",
    log:
        "<logs>/train_bone_quality/{network}.log",
    wildcard_constraints:
        network="|".join(BONE_NETWORKS),
    conda:
        "../envs/vertegrade.yaml"
    threads: 2
    resources:
        gpu=GPU,
        mem_mb=growing(8000),
        runtime=1440,
    params:
        state_dir=f"{LESIONS}/{{network}}/state",
        settings=settings_of(
            "metastasis.slices",
            "metastasis.network",
            "metastasis.train",
            "metastasis.baseline_growth",
            "metastasis.baseline_first_channels",
            "metastasis.baseline_blocks",
            "metastasis.baseline_steps",
        ),
        seed=SEED,
        code=code_of("train_bone_quality"),
        packages=packages_of("train_bone_quality"),
    script:
        "../workflow_scripts/train_bone_quality.py"


rule predict_bone_quality:
    """Let a trained network answer for every vertebra and slice."""
    input:
        labels=expand(
            "<results>/metastasis/slices/{shard}_labels.parquet", shard=LESION_SHARDS
        ),
        known=expand(
            "<results>/metastasis/slices/{shard}_slices.parquet", shard=LESION_SHARDS
        ),
        slices=expand("<results>/metastasis/slices/{shard}.npy", shard=LESION_SHARDS),
        weights="<results>/metastasis/{network}/weights.safetensors",
    output:
        predictions="<results>/metastasis/{network}/predictions.parquet",
        slices="<results>/metastasis/{network}/slice_predictions.parquet",
    log:
        "<logs>/predict_bone_quality/{network}.log",
    wildcard_constraints:
        network="|".join(BONE_NETWORKS),
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("predict_bone_quality"),
        packages=packages_of("predict_bone_quality"),
    script:
        "../workflow_scripts/predict_bone_quality.py"


rule evaluate_bone_quality:
    """Measure both networks against the known lesions, with intervals by bootstrap over patients."""
    input:
        labels=expand(
            "<results>/metastasis/slices/{shard}_labels.parquet", shard=LESION_SHARDS
        ),
        known=expand(
            "<results>/metastasis/slices/{shard}_slices.parquet", shard=LESION_SHARDS
        ),
        predictions=expand(
            "<results>/metastasis/{network}/predictions.parquet", network=BONE_NETWORKS
        ),
        slices=expand(
            "<results>/metastasis/{network}/slice_predictions.parquet",
            network=BONE_NETWORKS,
        ),
    output:
        metrics="<results>/metastasis/metrics.json",
        table="<results>/metastasis/metrics.tsv",
    log:
        "<logs>/evaluate_bone_quality.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        settings=settings_of("evaluation", "metastasis.specificity"),
        seed=SEED,
        code=code_of("evaluate_bone_quality"),
        packages=packages_of("evaluate_bone_quality"),
    script:
        "../workflow_scripts/evaluate_bone_quality.py"


rule bone_quality_page:
    """The page of bone quality for people: figures, and pictures of slices with what is true and what was answered."""
    input:
        metrics="<results>/metastasis/metrics.json",
        training=expand(
            "<results>/metastasis/{network}/training.json", network=BONE_NETWORKS
        ),
        labels=expand(
            "<results>/metastasis/slices/{shard}_labels.parquet", shard=LESION_SHARDS
        ),
        known=expand(
            "<results>/metastasis/slices/{shard}_slices.parquet", shard=LESION_SHARDS
        ),
        slices=expand("<results>/metastasis/slices/{shard}.npy", shard=LESION_SHARDS),
        scans=expand(
            "<results>/metastasis/slices/{shard}_scans.parquet", shard=LESION_SHARDS
        ),
        predictions=expand(
            "<results>/metastasis/{network}/predictions.parquet", network=BONE_NETWORKS
        ),
    output:
        page="<results>/metastasis/report.html",
    log:
        "<logs>/bone_quality_page.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=settings_of(*WINDOW),
        drawn=LESIONS_ARE_DRAWN,
        code=code_of("bone_quality_page"),
        packages=packages_of("bone_quality_page"),
    script:
        "../workflow_scripts/bone_quality_page.py"
