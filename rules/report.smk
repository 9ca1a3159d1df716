rule flow:
    """Count files, scans and vertebrae from the folder to the evaluated grade, with a reason for each left out."""
    input:
        index=index_report(),
        converted=expand("<results>/ct/{shard}.parquet", shard=SHARDS),
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        landmarks=expand("<results>/landmarks/{shard}.parquet", shard=SHARDS),
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
        labels=labels_table(),
        grades="<results>/grades.csv",
        splits="<results>/cohort/splits.tsv",
    output:
        numbers="<results>/report/flow.json",
        table="<results>/report/flow.tsv",
        figure=report(
            "<results>/report/flow.svg",
            category="Cohort",
            caption="../report/flow.rst",
        ),
    log:
        "<logs>/flow.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        sheet=sorted(row.scan_id for row in SCANS),
        code=code_of("flow"),
        packages=packages_of("flow"),
    script:
        "../workflow_scripts/flow.py"


rule charts:
    """The charts of the cohort's page: vertebrae against the truth, their intervals, and a map of the latent space."""
    input:
        predictions=expand("<results>/predictions/{method}.parquet", method=METHODS),
        grades="<results>/grades.csv",
        labels="<results>/cohort/labels.parquet",
        latents=expand(f"<results>/{ALL_METHODS[MAIN].latents}", shard=SHARDS),
        hyperplane=f"{MODEL}/grading/{MAIN}/hyperplane.json",
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
        pixels=expand("<results>/crops/{shard}.npy", shard=SHARDS),
    output:
        directory("<results>/report/charts"),
    log:
        "<logs>/charts.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        phantom=PHANTOM,
        settings=settings_of(*WINDOW),
        code=code_of("charts"),
        packages=packages_of("charts"),
    script:
        "../workflow_scripts/charts.py"


rule cohort_page:
    """The page of the cohort: what came in, how good the grades are, pictures of why; and texts for a paper."""
    input:
        metrics=expand("<results>/evaluation/{method}/metrics.json", method=METHODS),
        figures="<results>/evaluation/figures",
        flow="<results>/report/flow.json",
        training="<results>/dae/training.json",
        localizer=network_files(),
        heights=f"<results>/{INTACT_HEIGHTS}",
        calibrators=expand(
            "<results>/grading/{method}/calibrator.json",
            method=[name for name in METHODS if name in LATENT_METHODS],
        ),
        montage="<results>/report/montage.png",
        counterfactuals="<results>/report/counterfactuals.png",
        rivals="<results>/report/rivals.png",
        strips="<results>/counterfactual/metrics.json",
        told_apart="<results>/counterfactual/rivals.json",
        looks_at="<results>/report/looks_at.png",
        looked="<results>/counterfactual/looks_at.json",
        grade_heights="<results>/counterfactual/grade_heights.parquet",
        differences=expand(
            "<results>/evaluation/{method}/differences.json", method=COMPARED
        ),
        comparison="<results>/compare/comparison.csv",
        predictions=expand("<results>/predictions/{method}.parquet", method=METHODS),
        labels="<results>/cohort/labels.parquet",
        grades="<results>/grades.csv",
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
        pixels=expand("<results>/crops/{shard}.npy", shard=SHARDS),
        drawn="<results>/counterfactual/strips.parquet",
        summary="<results>/summary.json",
        charts="<results>/report/charts",
        applied=applied_files(),
    output:
        page=report(
            "<results>/report/cohort.html",
            category="Cohort",
            caption="../report/cohort_page.rst",
        ),
        methods="<results>/report/methods.md",
        claim="<results>/report/claim.md",
        tripod_ai="<results>/report/tripod_ai.md",
    log:
        "<logs>/cohort_page.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=settings_of(
            "cohort.splits",
            "localize.method",
            "localize.first_vertebra",
            "localize.last_vertebra",
            "localize.min_confidence",
            "crop",
            "dae.model",
            "dae.train",
            "dae.counterfactual.shown",
            "grading",
            "evaluation",
            "report.montage_crops",
            *WINDOW,
        ),
        about=about_paper(),
        versions=versions_used(),
        code=code_of("cohort_page"),
        packages=packages_of("cohort_page"),
    script:
        "../workflow_scripts/cohort_page.py"


rule patient_pages:
    """A page for each patient, and one of all patients: findings, grades with their images, why one has none."""
    input:
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        landmarks=expand("<results>/landmarks/{shard}.parquet", shard=SHARDS),
        measurements=expand("<results>/measurements/{shard}.parquet", shard=SHARDS),
        predictions=expand("<results>/predictions/{method}.parquet", method=METHODS),
        records="<results>/patients",
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
        pixels=expand("<results>/crops/{shard}.npy", shard=SHARDS),
        places=expand("<results>/spines/{shard}.parquet", shard=SHARDS),
        spines=expand("<results>/spines/{shard}", shard=SHARDS),
        images="<results>/counterfactual/images.npy",
        strips="<results>/counterfactual/strips.parquet",
        metrics="<results>/counterfactual/metrics.json",
        card=model_card(),
        marks=marks_table(),
        follow_up=follow_up_tables(),
    output:
        index=report(
            "<results>/report/index.html",
            category="Patients",
            caption="../report/patient_pages.rst",
        ),
        pages=directory("<results>/report/patients"),
    log:
        "<logs>/patient_pages.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        settings=settings_of(
            "report.recommendation",
            "localize.first_vertebra",
            "localize.last_vertebra",
            "grading.fracture_grade",
            "grading.coverage",
            "dae.model.hu_low",
            "dae.model.hu_high",
            *WINDOW,
        ),
        about=about_pages(),
        code=code_of("patient_pages"),
        packages=packages_of("patient_pages"),
    script:
        "../workflow_scripts/patient_pages.py"


rule patient_pdfs:
    """Each patient's page as PDF, A4, printed by the Chromium or Chrome that is installed."""
    input:
        pages="<results>/report/patients",
    output:
        directory("<results>/report/pdf"),
    log:
        "<logs>/patient_pdfs.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=code_of("patient_pdfs"),
        packages=packages_of("patient_pdfs"),
    script:
        "../workflow_scripts/patient_pdfs.py"


rule montage:
    """Crops of the test split in the order of their predicted severity."""
    input:
        pixels=expand("<results>/crops/{shard}.npy", shard=SHARDS),
        crops=expand("<results>/crops/{shard}.parquet", shard=SHARDS),
        predictions=f"<results>/predictions/{MAIN}.parquet",
        grades="<results>/grades.csv",
        labels="<results>/cohort/labels.parquet",
    output:
        report(
            "<results>/report/montage.png",
            category="Pictures",
            caption="../report/montage.rst",
        ),
    log:
        "<logs>/montage.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=settings_of("report.montage_crops", *WINDOW),
        code=code_of("montage"),
        packages=packages_of("montage"),
    script:
        "../workflow_scripts/montage.py"


rule counterfactual_figure:
    """The counterfactual strips as a picture, with a watermark, and animated; and beside them the bent crops."""
    input:
        images="<results>/counterfactual/images.npy",
        strips="<results>/counterfactual/strips.parquet",
        rivals="<results>/counterfactual/rivals.npy",
        predictions="<results>/predictions/dae.parquet",
        grades="<results>/grades.csv",
        labels=labels_table(),
    output:
        figure=report(
            "<results>/report/counterfactuals.png",
            category="Pictures",
            caption="../report/counterfactuals.rst",
        ),
        animations=directory("<results>/report/counterfactuals"),
        rivals=report(
            "<results>/report/rivals.png",
            category="Pictures",
            caption="../report/rivals.rst",
        ),
    log:
        "<logs>/counterfactual_figure.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=settings_of(
            "report.difference_hu",
            "dae.counterfactual.shown",
            "dae.model.hu_low",
            "dae.model.hu_high",
            *WINDOW,
        ),
        code=code_of("counterfactual_figure"),
        packages=packages_of("counterfactual_figure"),
    script:
        "../workflow_scripts/counterfactual_figure.py"


rule outcome:
    """The state of the run in a few lines. Fails where `run.fail_on` says so, and with it the run, but no other job."""
    input:
        scans=expand("<results>/landmarks/{shard}_scans.parquet", shard=SHARDS),
        grades="<results>/grades.csv",
    output:
        "<results>/report/outcome.txt",
    log:
        "<logs>/outcome.log",
    retries: 0  # its outcome is certain; a profile's `retries` would only repeat it
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        fail_on=SETTINGS.run.fail_on,
        code=code_of("outcome"),
        packages=packages_of("outcome"),
    script:
        "../workflow_scripts/outcome.py"
