rule train_pca:
    """Fit principal components of the training split's crops: the baseline of the DAE's latents."""
    input:
        pixels=teaching("<results>/crops/{shard}.npy"),
        crops=teaching("<results>/crops/{shard}.parquet"),
        splits="<results>/cohort/splits.tsv",
    output:
        components="<results>/pca/components.safetensors",
    log:
        "<logs>/train_pca.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 2
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        settings=settings_of("grading.pca"),
        window=[SETTINGS.dae.model.hu_low, SETTINGS.dae.model.hu_high],
        seed=SEED,
        code=code_of("train_pca"),
        packages=packages_of("train_pca"),
    script:
        "../workflow_scripts/train_pca.py"


rule encode_pca:
    """Project every crop of a shard on the principal components."""
    input:
        pixels="<results>/crops/{shard}.npy",
        crops="<results>/crops/{shard}.parquet",
        components="<results>/pca/components.safetensors",
    output:
        latents="<results>/latents/pca/{shard}.parquet",
    log:
        "<logs>/encode_pca/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code_of("encode_pca"),
        packages=packages_of("encode_pca"),
    script:
        "../workflow_scripts/encode_pca.py"
