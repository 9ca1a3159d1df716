rule train_dae:
    """Train the diffusion autoencoder on the unlabelled crops of the training split; resumes by itself."""
    input:
        pixels=teaching("<results>/crops/{shard}.npy"),
        crops=teaching("<results>/crops/{shard}.parquet"),
        splits="<results>/cohort/splits.tsv",
    output:
        weights="<results>/dae/weights.safetensors",
        metrics="<results>/dae/training.json",
    log:
        "<logs>/train_dae.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 8
    resources:
        gpu=GPU,
        mem_mb=growing(16000),
        runtime=1440,
    params:
        state_dir=f"{SETTINGS.run.results}/dae/state",
        settings=settings_of("crop", "dae.model", "dae.train"),
        seed=SEED,
        code=code_of("train_dae"),
        packages=packages_of("train_dae"),
    script:
        "../workflow_scripts/train_dae.py"


rule encode:
    """Encode every crop of a shard into the semantic latent space."""
    input:
        pixels="<results>/crops/{shard}.npy",
        crops="<results>/crops/{shard}.parquet",
        weights=f"{MODEL}/dae/weights.safetensors",
    output:
        latents="<results>/latents/dae/{shard}.parquet",
    log:
        "<logs>/encode/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        settings=settings_of("dae.encode"),
        code=code_of("encode"),
        packages=packages_of("encode"),
    script:
        "../workflow_scripts/encode.py"
