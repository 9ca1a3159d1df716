rule freeze:
    """Put what grades other scans into one folder: localizer, weights, graders, settings, hashes and a model card."""
    input:
        files=model_files,
        networks=network_files() + ([CANAL_WEIGHTS] if "seq2seq" in METHODS else []),
        sight=SIGHT_WEIGHTS,
        metrics=expand(
            "<results>/evaluation/{method}/metrics.json",
            method=METHODS if label_files() else [],
        ),
        about=SETTINGS.freeze.about or [],
    output:
        directory("<results>/frozen"),
    log:
        "<logs>/freeze.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=settings_of("freeze.name", "freeze.licence", "freeze.scans"),
        code=code_of("freeze"),
        packages=packages_of("freeze"),
    script:
        "../workflow_scripts/freeze.py"
