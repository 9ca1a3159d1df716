"""`python -m snakemake`, and the scripts of its jobs, in processes forked where all that they import is there already.

Importing it takes a second for Snakemake and 0.5 to 3 s for each job. Where a test puts something on PYTHONPATH,
which a new Python reads as it starts, jobs are new processes as ever; so are all that other tests start by themselves.
"""

import atexit
import ctypes
import gc
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_LIBRARY = str(_ROOT / "workflow_scripts")  # as it is installed: behind all others, and behind that of a clone
_LAUNCHER = Path(__file__).with_name("forked_job.py")
_SERVER = multiprocessing.get_context("forkserver")
# Packages of others alone: tests run Snakefiles and scripts of clones, each with its own library.
_PACKAGES = [
    *("snakemake.cli", "snakemake_executor_plugin_slurm", "pydantic", "jinja2"),
    *("pandas", "pandera.pandas", "pandera.strategies.pandas_strategies", "pyarrow.parquet", "PIL.Image"),
    *("scipy.ndimage", "scipy.optimize", "scipy.stats", "sklearn.linear_model", "sklearn.isotonic"),
    *("nibabel", "pydicom", "matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
    *("torch", "torch._dynamo", "diffusers", "monai.networks.nets"),
]
_SERVER.set_forkserver_preload(_PACKAGES)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


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
    of_python = (sys.prefix, sys.base_prefix)  # and nothing that pytest or a test has put on the path
    others = [path for path in sys.path if path.startswith(of_python)]
    gc.freeze()
    if not environment.get("PYTHONPATH"):
        _fork_jobs(outputs[0].with_name("jobs"), others)
    sys.path[:] = [str(cwd), *others, _LIBRARY]
    from snakemake import cli

    sys.argv = [str(Path(cli.__file__).with_name("__main__.py")), *arguments]
    cli.main(arguments)


def _fork_jobs(address: Path, others: list[str]) -> None:
    """Let Snakemake, which will run in this process, have its scripts run by forks of a server that is forked here."""
    from snakemake.script import PythonScript

    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(address))
    listening.listen()
    if os.fork() == 0:
        _serve(listening, others)
    listening.close()
    launcher = f"{sys.executable} -IS {_LAUNCHER} {address}"

    def execute_script(self: PythonScript, fname: str, edit: bool = False) -> None:
        self._execute_cmd("{py_exec} {fname:q}", py_exec=launcher, fname=fname, is_python_script=True)

    PythonScript.execute_script = execute_script


def _serve(listening: socket.socket, others: list[str]) -> None:
    """Fork a process for each script, until Snakemake ends."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _run_script(connection, others)
        connection.close()


def _run_script(connection: socket.socket, others: list[str]) -> None:
    """What `python SCRIPT` does, with the folder, variables and outputs of the launcher; the status goes back to it."""
    length, outputs, _, _ = socket.recv_fds(connection, 8, 2)
    with connection.makefile("rb") as said:
        folder, script, *variables = said.read(int.from_bytes(length, "big")).decode().split("\0")
    for place, output in enumerate(outputs, start=1):
        os.dup2(output, place)
        os.close(output)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variable.split("=", 1) for variable in variables)
    first = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))  # Vertegrade's own, in a clone
    sys.argv, sys.path[:] = [script], [str(Path(script).parent), *first, *others, _LIBRARY]
    status = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(bytes([status & 0xFF]))
    os._exit(status)
