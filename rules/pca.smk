rule encode_pca:
    """Project every crop on the principal components of the training split: the baseline of the DAE's latents."""
    input:
        pixels=expand("<results>/crops/{shard}.npy", shard=SHARDS),
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
        splits="<results>/cohort/splits.tsv",
    output:
        components="<results>/pca/components.safetensors",
        latents="<results>/latents/pca.parquet",
    log:
        "<logs>/encode_pca.log",
    benchmark:
        "<benchmarks>/encode_pca.tsv"
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
        code=code_of("encode_pca"),
        packages=packages_of("encode_pca"),
    script:
        "../workflow_scripts/encode_pca.py"
