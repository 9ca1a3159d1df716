rule localization_picture:
    """Each spine of a shard's scans from the side: as it is, and with what localization found in it."""
    input:
        volumes="<results>/ct/{shard}",
        landmarks="<results>/landmarks/{shard}.parquet",
    output:
        pictures=directory("<results>/localization/{shard}"),
        spines=directory("<results>/spines/{shard}"),
        places="<results>/spines/{shard}.parquet",
    log:
        "<logs>/localization_picture/{shard}.log",
    conda:
        "../envs/vertegrade.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(15),
    params:
        settings=settings_of(*WINDOW),
        code=code_of("localization_picture"),
        packages=packages_of("localization_picture"),
    script:
        "../workflow_scripts/localization_picture.py"


rule localization_pictures:
    """A picture of every scan with the vertebrae that were found: check these before you trust the grades."""
    input:
        expand("<results>/localization/{shard}", shard=SHARDS),
