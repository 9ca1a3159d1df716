rule fit_hyperplane:
    """Fit the binary fracture classifier on the latents of the training split."""
    input:
        latents=teaching_latents,
        labels=teaching_labels,
        splits="<results>/cohort/splits.tsv",
    output:
        hyperplane="<results>/grading/{method}/hyperplane.json",
    log:
        "<logs>/fit_hyperplane/{method}.log",
    benchmark:
        "<benchmarks>/fit_hyperplane/{method}.tsv"
    wildcard_constraints:
        method="|".join(LATENT_METHODS),
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings_of(
            "grading.fracture_grade", "grading.classifier", "grading.folds"
        ),
        seed=SEED,
        code=code_of("fit_hyperplane"),
        packages=packages_of("fit_hyperplane"),
    script:
        "../workflow_scripts/fit_hyperplane.py"


rule calibrate:
    """Calibrate the signed distance to the Genant scale, with an interval, by training and validation patients."""
    input:
        latents=teaching_latents,
        labels=teaching_labels,
        splits="<results>/cohort/splits.tsv",
        hyperplane="<results>/grading/{method}/hyperplane.json",
    output:
        calibrator="<results>/grading/{method}/calibrator.json",
    log:
        "<logs>/calibrate/{method}.log",
    benchmark:
        "<benchmarks>/calibrate/{method}.tsv"
    wildcard_constraints:
        method="|".join(LATENT_METHODS),
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=settings_of(
            "grading.fracture_grade",
            "grading.classifier",
            "grading.folds",
            "grading.calibration",
            "grading.coverage",
        ),
        seed=SEED,
        code=code_of("calibrate"),
        packages=packages_of("calibrate"),
    script:
        "../workflow_scripts/calibrate.py"


rule grade:
    """Grade every vertebra: severity, grade probabilities, interval."""
    input:
        latents=latents_of,
        splits="<results>/cohort/splits.tsv",
        hyperplane=f"{MODEL}/grading/{{method}}/hyperplane.json",
        calibrator=f"{MODEL}/grading/{{method}}/calibrator.json",
    output:
        predictions="<results>/predictions/{method}.parquet",
    log:
        "<logs>/grade/{method}.log",
    benchmark:
        "<benchmarks>/grade/{method}.tsv"
    wildcard_constraints:
        method="|".join(LATENT_METHODS),
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code_of("grade"),
        packages=packages_of("grade"),
    script:
        "../workflow_scripts/grade.py"
