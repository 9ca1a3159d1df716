rule audit:
    """Hash every file again and report what is missing, altered, stale, inconsistent or orphaned; fails if any is."""
    log:
        "<logs>/audit.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        workflow=this_workflow,
        elsewhere=[SETTINGS.run.logs],
        findings=f"{SETTINGS.run.logs}/audit.tsv",
    script:
        "../workflow_scripts/audit.py"


rule why:
    """Say in plain words what `snakemake` would run now, and because of what."""
    log:
        "<logs>/why.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        workflow=this_workflow,
        targets=[],
    script:
        "../workflow_scripts/why.py"
