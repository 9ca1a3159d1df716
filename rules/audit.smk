rule audit:
    """Hash every file again and report what is missing, altered, stale, inconsistent or orphaned; fails if any is."""
    log:
        "<logs>/audit.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 4
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        workflow=this_workflow,
        elsewhere=[SETTINGS.run.log_folder],
        findings=f"{SETTINGS.run.log_folder}/audit.tsv",
    script:
        "../workflow_scripts/audit.py"


rule why:
    """Say in plain words what `snakemake`, or `snakemake $TARGET`, would run now, and why."""
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
        targets=os.environ.get("TARGET", "").split(),
    script:
        "../workflow_scripts/why.py"


rule lineage:
    """Every file, setting and code version behind a vertebra's grade: `snakemake results/lineage/SCAN_L1.html`."""
    input:
        predictions=expand("<results>/predictions/{method}.parquet", method=METHODS),
    output:
        page="<results>/lineage/{scan}_{level}.html",
        table="<results>/lineage/{scan}_{level}.tsv",
    log:
        "<logs>/lineage/{scan}_{level}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("lineage"),
    script:
        "../workflow_scripts/lineage.py"


rule ro_crate:
    """Make the results a Workflow Run RO-Crate: metadata in it and a copy of the workflow."""
    input:
        results_wanted(),
    output:
        metadata="<results>/ro-crate-metadata.json",
        workflow=directory("<results>/workflow"),
    log:
        "<logs>/ro_crate.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings_sha256=SETTINGS_SHA256,
        code=code_of("ro_crate"),
    script:
        "../workflow_scripts/ro_crate.py"
