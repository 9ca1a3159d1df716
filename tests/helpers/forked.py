"""`python -m snakemake` in a process forked where Snakemake is imported already, which takes a second each time."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_LIBRARY = str(_ROOT / "workflow_scripts")  # as it is installed: behind all others, and behind that of a clone
_OF_TESTS = {_LIBRARY, str(_ROOT / "tests"), str(_ROOT / "benchmarks"), ""}
_SERVER = multiprocessing.get_context("forkserver")
# Packages of others alone: tests run Snakefiles of clones, each with its own library.
_SERVER.set_forkserver_preload(["snakemake.cli", "snakemake_executor_plugin_slurm", "pydantic", "jinja2"])


def run(arguments: list[str], cwd: Path, environment: dict[str, str], timeout: int) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` of `python -m snakemake` with these arguments returns, outputs as text."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ("stdout", "stderr")]
        process = _SERVER.Process(target=_main, args=(arguments, cwd, environment, outputs))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout)
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in outputs]
    return subprocess.CompletedProcess(arguments, process.exitcode, *texts)


def _main(arguments: list[str], cwd: Path, environment: dict[str, str], outputs: list[Path]) -> None:
    """In the forked process."""
    for place, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), place)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [str(cwd), *(path for path in sys.path if path not in _OF_TESTS), _LIBRARY]
    from snakemake import cli

    sys.argv = [str(Path(cli.__file__).with_name("__main__.py")), *arguments]
    cli.main(arguments)
