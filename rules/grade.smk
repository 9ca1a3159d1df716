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


rule appearance:
    """What a shard's crops look like, whatever they show: brightness, noise, sharpness."""
    input:
        pixels="<results>/crops/{shard}.npy",
        crops="<results>/crops/{shard}.parquet",
    output:
        appearance="<results>/appearance/{shard}.parquet",
    log:
        "<logs>/appearance/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code_of("appearance"),
        packages=packages_of("appearance"),
    script:
        "../workflow_scripts/appearance.py"


rule fit_novelty:
    """What training vertebrae are like, and how unusual one may be, by training and validation patients."""
    input:
        latents=teaching_latents,
        appearance=teaching("<results>/appearance/{shard}.parquet"),
        splits="<results>/cohort/splits.tsv",
        hyperplane="<results>/grading/{method}/hyperplane.json",
        calibrator="<results>/grading/{method}/calibrator.json",
    output:
        novelty="<results>/grading/{method}/novelty.json",
    log:
        "<logs>/fit_novelty/{method}.log",
    wildcard_constraints:
        method="|".join(LATENT_METHODS),
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(10),
    params:
        code=code_of("fit_novelty"),
        packages=packages_of("fit_novelty"),
    script:
        "../workflow_scripts/fit_novelty.py"


rule grade:
    """Grade every vertebra: severity, grade probabilities, interval, novelty."""
    input:
        latents=latents_of,
        appearance=expand("<results>/appearance/{shard}.parquet", shard=SHARDS),
        splits="<results>/cohort/splits.tsv",
        hyperplane=f"{MODEL}/grading/{{method}}/hyperplane.json",
        calibrator=f"{MODEL}/grading/{{method}}/calibrator.json",
        novelty=f"{MODEL}/grading/{{method}}/novelty.json",
    output:
        predictions="<results>/predictions/{method}.parquet",
    log:
        "<logs>/grade/{method}.log",
    wildcard_constraints:
        method="|".join(LATENT_METHODS),
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        withhold=WITHHOLD,
        code=code_of("grade"),
        packages=packages_of("grade"),
    script:
        "../workflow_scripts/grade.py"


rule calibrate_scores:
    """Calibrate a method's own grade probabilities on validation patients: scale, intervals, patients."""
    input:
        scores=teaching_scores,
        labels=teaching_labels,
        splits="<results>/cohort/splits.tsv",
    output:
        probabilities="<results>/grading/{method}/probabilities.json",
    log:
        "<logs>/calibrate_scores/{method}.log",
    wildcard_constraints:
        method="|".join(SCORED_METHODS),
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        settings=settings_of(
            "grading.fracture_grade", "grading.folds", "grading.coverage"
        ),
        seed=SEED,
        code=code_of("calibrate_scores"),
        packages=packages_of("calibrate_scores"),
    script:
        "../workflow_scripts/calibrate_scores.py"


rule grade_scores:
    """Grade every vertebra by a method's own grade probabilities: severity, interval; and its patient."""
    input:
        scores=scores_of,
        splits="<results>/cohort/splits.tsv",
        probabilities=f"{MODEL}/grading/{{method}}/probabilities.json",
    output:
        predictions="<results>/predictions/{method}.parquet",
    log:
        "<logs>/grade_scores/{method}.log",
    wildcard_constraints:
        method="|".join(SCORED_METHODS),
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code_of("grade_scores"),
        packages=packages_of("grade_scores"),
    script:
        "../workflow_scripts/grade_scores.py"


rule grades:
    """One table of all methods' grades, for people and spreadsheets."""
    input:
        predictions=expand("<results>/predictions/{method}.parquet", method=METHODS),
    output:
        grades="<results>/grades.csv",
    log:
        "<logs>/grades.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=code_of("grades"),
        packages=packages_of("grades"),
    script:
        "../workflow_scripts/grades.py"
