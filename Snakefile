"""Vertegrade: from CT to calibrated Genant grades of vertebral fractures. Research use only, not a medical device."""

from snakemake.utils import min_version

min_version("9.27")


# Of this clone, whichever folder it is used from.
configfile: str(workflow.current_basedir.join("config.yaml"))


include: "rules/common.smk"
include: "rules/found_by.smk"
include: "rules/taught.smk"
include: "rules/lesions.smk"
include: "rules/told.smk"


report: "report/workflow.rst"


pathvars:
    results=SETTINGS.run.results,
    logs=SETTINGS.run.log_folder,


wildcard_constraints:
    shard=r"\d+",
    method="|".join(METHODS),
    scan="[A-Za-z0-9-]+",
    level=r"[CTL]\d+",


include: "rules/phantom.smk"
include: "rules/convert.smk"
include: "rules/localize.smk"
include: "rules/quality.smk"
include: "rules/crop.smk"
include: "rules/patches.smk"
include: "rules/measures.smk"
include: "rules/cohort.smk"


for name in ALL_METHODS:

    include: f"rules/{name}.smk"


include: "rules/grade.smk"
include: "rules/records.smk"
include: "rules/follow_up.smk"
include: "rules/counterfactual.smk"
include: "rules/looks_at.smk"
include: "rules/virtual.smk"
include: "rules/challenge.smk"
include: "rules/bone_quality.smk"
include: "rules/evaluate.smk"
include: "rules/compare.smk"
include: "rules/report.smk"
include: "rules/freeze.smk"
include: "rules/export.smk"
include: "rules/audit.smk"


localrules:
    all,
    outcome,
    localization_pictures,
    metastasis,
    export,
    audit,
    why,
    lineage,
    ro_crate,


rule all:
    """Everything: grades, metrics, figures and the cohort's page."""
    default_target: True
    input:
        targets(),


decide_by_content(workflow, SETTINGS.run.results)


onsuccess:
    closing_words(well=True)


onerror:
    closing_words(well=False)
