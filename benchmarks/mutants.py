"""Do the tests notice? Breaks one formula at a time in a copy of the working tree and runs the tests that bear on it.

    .venv/bin/python benchmarks/mutants.py                       # all of benchmarks/mutants/*.yaml, what is left to do
    .venv/bin/python benchmarks/mutants.py dae grading           # these areas
    .venv/bin/python benchmarks/mutants.py --only "pose" --again # mutants whose text contains this, also known ones
    .venv/bin/python benchmarks/mutants.py --table               # what is known, as Markdown; runs nothing

A mutant is an old text, which stands exactly once in its file, and the new text in its place. Ends with 1 where a
mutant survives or cannot be tried, else with 0. What was found is kept in benchmarks/out/mutants.jsonl, line by line,
so that a run that was stopped goes on; a mutant is tried again when its text, its file or one of its tests changed.
"""

import argparse
import gc
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
LISTS = Path(__file__).with_suffix("")
KNOWN = ROOT / "benchmarks/out/mutants.jsonl"
# Imported once for all mutants, whose tests would else wait for them: nothing that imports vertegrade.
LARGE: tuple[str, ...] = (
    "diffusers.schedulers.scheduling_ddim",
    "hypothesis",
    "matplotlib.figure",
    "nibabel",
    "pandera.pandas",
)
LARGE += ("safetensors.torch", "scipy.optimize", "scipy.stats", "sklearn.covariance", "sklearn.isotonic")
LARGE += ("sklearn.linear_model", "sklearn.metrics", "sklearn.svm", "snakemake.api", "statsmodels.api", "torch")
GOOD = ("killed", "equivalent")
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?)(?:\[.*\])?(?: - (.*))?$", re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """What to break: `old` becomes `new` in `file`. breaks: what is wrong then. tests: files or tests, in this order.

    equivalent: why no test can tell, where none can; such a mutant is expected to survive.
    """

    area: str
    file: str
    breaks: str
    old: str
    new: str
    tests: tuple[str, ...]
    equivalent: str = ""

    def key(self) -> str:
        """Changes with the mutant, its file and its tests."""
        digest = hashlib.sha256(repr(self).encode())
        for path in (self.file, *(test.partition("::")[0] for test in self.tests)):
            digest.update((ROOT / path).read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Found:
    """killed, survived, equivalent, or why it is not known. by: the first test that failed, and how.

    Tests that took too long prove nothing on a busy machine: try again with a longer limit.
    """

    verdict: str
    by: str = ""
    seconds: float = 0.0


def mutants(areas: list[str]) -> list[Mutant]:
    """The mutants of the areas (all where none is named); ValueError where two of an area break the same."""
    found = []
    for path in sorted(LISTS.glob("*.yaml")):
        if areas and path.stem not in areas:
            continue
        for group in yaml.safe_load(path.read_text(encoding="utf-8")):
            for entry in group["mutants"]:
                tests = tuple(f"tests/{test}" for test in entry.pop("tests", group["tests"]))
                found.append(Mutant(area=path.stem, file=group["file"], tests=tests, **entry))
    names = [(mutant.area, mutant.breaks) for mutant in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"mutants that are named alike: {sorted(twice)}")
    return found


@contextmanager
def copy_of_tree() -> Iterator[Path]:
    """A folder with hard links to the files of the working tree; never write into one of them."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        for path in filter(None, names.split("\0")):
            if not (ROOT / path).is_file():
                continue
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(ROOT / path, folder / path)
            except OSError:  # another file system
                shutil.copy2(ROOT / path, folder / path)
        yield folder


@contextmanager
def mutated(folder: Path, mutant: Mutant) -> Iterator[None]:
    """The copy with the mutant in it. Its file is replaced, not written into."""
    file = folder / mutant.file
    kept = file.with_name(f".{file.name}.kept")
    file.rename(kept)
    try:
        file.write_text(kept.read_text(encoding="utf-8").replace(mutant.old, mutant.new), encoding="utf-8")
        yield
    finally:
        kept.replace(file)


def fault_of(mutant: Mutant) -> str:
    """Why a mutant does not apply, "" where it does."""
    count = (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old)
    if count != 1:
        return f"did not apply: the old text stands {count} times in {mutant.file}"
    return "did not apply: nothing changes" if mutant.old == mutant.new else ""


def run_tests(folder: Path, tests: tuple[str, ...], limit_s: float) -> Found:
    """Run tests but slow ones in the copy until the first fails. Their verdict is `survived` where all pass.

    In a fork of this process, which has imported the large libraries, but nothing of this project.
    """
    with tempfile.TemporaryDirectory(prefix="mutants-tests-") as temporary:
        printed = Path(temporary, "output")
        start = time.monotonic()
        child = os.fork()
        if not child:
            _test_in_fork(folder, printed, ["--basetemp", f"{temporary}/tests", *tests])
        while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() - start < limit_s:
            time.sleep(0.05)
        seconds = time.monotonic() - start
        if not ended[0]:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Found("timed out", f"{limit_s:g} s", seconds)
        output = printed.read_text(encoding="utf-8", errors="replace")
    code, failed = os.waitstatus_to_exitcode(ended[1]), FAILED.search(output)
    if code == 1 and failed:
        return Found("killed", f"{failed[1]}: {(failed[2] or '').strip()}"[:300], seconds)
    if code == 0 and re.search(r"\d+ passed", output):
        return Found("survived", "", seconds)
    return Found("could not be tried", " ".join(output.split())[-300:], seconds)


def _test_in_fork(folder: Path, printed: Path, arguments: list[str]) -> None:
    """Become a run of pytest in the copy, in a process group of its own; never returns."""
    code = 70
    try:
        os.setsid()
        os.chdir(folder)
        output = os.open(printed, os.O_WRONLY | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(output, stream)
        sys.stdout = sys.stderr = os.fdopen(1, "w", encoding="utf-8")
        library = str(folder / "workflow_scripts")
        os.environ |= {"PYTHONPATH": library, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # half of the time of a quick test
        sys.dont_write_bytecode = True
        sys.path.insert(0, library)
        code = int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--tb=no", "-rfE", "-m", "not slow", *arguments]))
        sys.stdout.flush()
    finally:
        os._exit(code)


def judged(mutant: Mutant, folder: Path, limit_s: float) -> Found:
    """What the tests say of a mutant."""
    if fault := fault_of(mutant):
        return Found(fault)
    with mutated(folder, mutant):
        found = run_tests(folder, mutant.tests, limit_s)
    if mutant.equivalent and found.verdict == "survived":
        return Found("equivalent", mutant.equivalent, found.seconds)
    if mutant.equivalent:
        return Found("not equivalent", found.by, found.seconds)
    return found


def known() -> dict[str, Found]:
    """What was found before, by key."""
    found: dict[str, Found] = {}
    for line in KNOWN.read_text(encoding="utf-8").splitlines() if KNOWN.is_file() else []:
        entry: dict[str, Any] = json.loads(line)
        found[entry.pop("key")] = Found(**entry["found"])
    return found


def keep(key: str, found: Found, **about: Any) -> None:
    """Add a line for what was found."""
    KNOWN.parent.mkdir(parents=True, exist_ok=True)
    with KNOWN.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"key": key, **about, "found": vars(found)}, ensure_ascii=False) + "\n")


def run(chosen: list[Mutant], done: dict[str, Found], limit_s: float) -> None:
    """Try the mutants that are not known yet. Tests that fail without any mutant prove nothing, so they stop it."""
    left = [mutant for mutant in chosen if mutant.key() not in done]
    if not left:
        return
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    for name in LARGE:
        import_module(name)
    gc.freeze()  # pytest looks for garbage ten times, among all that was imported
    with copy_of_tree() as folder:
        for number, mutant in enumerate(left, 1):
            require_passing(mutant.tests, folder, done, limit_s)
            found = judged(mutant, folder, limit_s)
            done[mutant.key()] = found
            keep(mutant.key(), found, area=mutant.area, file=mutant.file, breaks=mutant.breaks)
            place = f"{number}/{len(left)} {mutant.area}: {mutant.breaks}"
            print(f"{place}: {found.verdict} {found.by} ({found.seconds:.0f} s)", flush=True)


def require_passing(tests: tuple[str, ...], folder: Path, done: dict[str, Found], limit_s: float) -> None:
    """End the program where tests do not pass without any mutant, once for a state of the code and of the tests."""
    digest = hashlib.sha256(repr(tests).encode())
    for path in sorted({*(ROOT / "rules").glob("*.smk"), *(ROOT / "workflow_scripts").rglob("*.py")}):
        digest.update(path.read_bytes())
    for test in tests:
        digest.update((ROOT / test.partition("::")[0]).read_bytes())
    key = digest.hexdigest()
    if key not in done:
        done[key] = run_tests(folder, tests, 10 * limit_s)
        keep(key, done[key], tests=tests)
    if done[key].verdict != "survived":
        sys.exit(f"tests that do not pass without any mutant: {done[key].verdict} {done[key].by}")


def table(chosen: list[Mutant], done: dict[str, Found]) -> str:
    """Markdown of what is known, by area: what each test noticed in each file."""
    lines = []
    for area in dict.fromkeys(mutant.area for mutant in chosen):
        rows: dict[tuple[str, str], list[str]] = {}
        for mutant in (mutant for mutant in chosen if mutant.area == area):
            found = done.get(mutant.key(), Found("not tried"))
            test = found.by.partition(": ")[0].rpartition("/")[2].removesuffix(".py").replace(".py::", " ")
            said = {"killed": f"`{test}`", "equivalent": f"equivalent: {found.by}"}.get(found.verdict, found.verdict)
            file = mutant.file.removeprefix("workflow_scripts/").removeprefix("vertegrade/")
            rows.setdefault((file, said), []).append(mutant.breaks)
        count = sum(map(len, rows.values()))
        lines += [f"### {area}: {count}", "", "| file | what is wrong then | noticed by |", "|---|---|---|"]
        lines += [f"| `{file}` | {'; '.join(broken)} | {said} |" for (file, said), broken in rows.items()]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("areas", nargs="*", help="files of benchmarks/mutants without their ending; all if left out")
    parser.add_argument("--only", default="", help="mutants whose file or text contains this")
    parser.add_argument("--again", action="store_true", help="also those of which the verdict is known")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for the tests of a mutant")
    parser.add_argument("--table", action="store_true", help="print what is known as Markdown, and run nothing")
    arguments = parser.parse_args()
    chosen = [mutant for mutant in mutants(arguments.areas) if arguments.only in f"{mutant.file} {mutant.breaks}"]
    if not chosen:
        sys.exit("there is no such mutant")
    done = known()
    if arguments.table:
        print(table(chosen, done))
        return
    if arguments.again:
        done = {}
    run(chosen, done, arguments.limit)
    changed = Found("its file or a test was changed meanwhile")
    verdicts = [done.get(mutant.key(), changed).verdict for mutant in chosen]
    print({verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)})
    sys.exit(any(verdict not in GOOD for verdict in verdicts))


if __name__ == "__main__":
    main()
