# What pages, texts and figures tell of a run beside what its jobs found. No rules.


def about_pages():
    """What the pages of the patients tell beside the findings."""
    return {
        "own": not SETTINGS.run.model,
        "notes": MODEL_NOTES,
        "phantom": PHANTOM,
    }


def about_paper():
    """What the methods text of the run tells beside settings and counts."""
    taught = "virtual" if TAUGHT_VIRTUALLY else "phantoms" if PHANTOM else "people"
    return {"phantom": PHANTOM, "labels": taught, "seed": SEED}


def versions_used():
    """Versions of the packages that localize, train, grade and evaluate."""
    scripts = ("convert", "localize", "train_dae", "calibrate", "evaluate")
    return {
        name: version
        for script in scripts
        for name, version in packages_of(script).items()
    }


def subjects():
    """Sex and age band of each scan of which the sample sheet gives any, for figures by group."""
    return {
        row.scan_id: [row.sex, row.age_band] for row in SCANS if row.sex or row.age_band
    }
