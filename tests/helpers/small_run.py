"""A finished run of two rules, made of a few text files, for the tests of what reads manifests."""

from pathlib import Path
from typing import Any

from vertegrade.files import file_hashes
from vertegrade.workflow.code_hash import hash_of
from vertegrade.workflow.manifest import Manifest, look_of, manifest_path, save_manifest

CODE = {"a.py": "1111"}
PARAMS: dict[str, Any] = {"settings": {"crop.size": 64}, "packages": {"numpy": "2.0"}, "code": hash_of(CODE)}


def write_job(rule: str, wildcards: dict[str, str], inputs: list[str], outputs: list[str], **more: Any) -> None:
    """The manifest of a job in the run `results` of the current folder, or in another; its files must be there."""
    read, written = file_hashes(inputs), file_hashes(outputs)
    manifest = {
        "rule": rule,
        "wildcards": wildcards,
        "results": "results",
        "given": inputs,
        "inputs": read,
        "outputs": written,
        "looks": {path: look_of(path) for path in (*read, *written)},
        "params": PARAMS,
        "code": CODE,
        "resources": {"wall_s": 1.0, "cpu_s": 0.5, "peak_rss_mb": 100.0, "threads": 1, "device": "cpu"},
        "versions": {"python": "3.11.0"},
        "host": "node1",
        "started": "2026-01-01T00:00:00.000+00:00",
        "finished": "2026-01-01T00:00:01.000+00:00",
    }
    written_as = Manifest(**(manifest | more))
    save_manifest(manifest_path(written_as.results, rule, wildcards), written_as)


def write_run() -> None:
    """In the current folder: scans/a is converted to results/ct/0/a_ct.txt, that cropped to results/crops/0.txt."""
    for name, text in {
        "scans/a/1.dcm": "slice 1",
        "scans/a/2.dcm": "slice 2",
        "results/ct/0/a_ct.txt": "volume",
        "results/ct/0/.snakemake_timestamp": "",
        "results/crops/0.txt": "crops",
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    write_job("convert", {"shard": "0"}, ["scans/a"], ["results/ct/0"])
    write_job("crop", {"shard": "0"}, ["results/ct/0"], ["results/crops/0.txt"])
