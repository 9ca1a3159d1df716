"""Which code a rule depends on: a content hash over its script and every vertegrade module that the script imports.

Snakemake sees a script's mtime but no imported module, so rules have this hash in their params. Syntax trees without
docstrings are hashed, not bytes: an edit of comments, docstrings or layout re-runs nothing. The settings classes are
left out, because the values that a rule uses are in its params already, and so is the bookkeeping, which changes no
result. Next to the hash, rules' params have the versions of the packages that their code computes with.

A job compares the code that it loaded with that hash (`LoadedCode`): PYTHONPATH, an installed package or an edit
during a run may give it other code.
"""

import ast
import atexit
import contextlib
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

SCRIPTS = Path(__file__).resolve().parents[2]
PACKAGE = "vertegrade"
NOT_COUNTED = ("vertegrade.settings.", "vertegrade.workflow.code_hash.", "vertegrade.workflow.manifest.")
# Distributions whose version can change numbers or pictures, by the name that code imports. Not pandas, pyarrow and
# pandera (tables are selected and joined), jinja2 and others: a training should not start again for them.
COMPUTING = {
    "PIL": "pillow",
    "diffusers": "diffusers",
    "matplotlib": "matplotlib",
    "nibabel": "nibabel",
    "numpy": "numpy",
    "pydicom": "pydicom",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "vl_convert": "vl-convert-python",
}


@cache
def _module_file(module: str) -> Path | None:
    """File of a dotted vertegrade module, or None when the name is an attribute rather than a module."""
    path = SCRIPTS.joinpath(*module.split("."))
    if path.is_dir():
        return path / "__init__.py"
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else None


def _absolute(node: ast.ImportFrom, file: Path) -> str:
    if not node.level:
        return node.module or ""
    parts = file.relative_to(SCRIPTS).with_suffix("").parts[: -node.level]
    return ".".join([*parts, *([node.module] if node.module else [])])


class Parsed(NamedTuple):
    """One file: digest of its syntax tree and of the data files of its folder, and the modules that it imports."""

    digest: str
    imports: tuple[str, ...]


@cache
def _own_code() -> bytes:
    """This file: what another version of it remembered does not count."""
    return Path(__file__).read_bytes()


@cache
def _parse(file: Path) -> Parsed:
    data = [path.read_bytes() for path in (file, *_data_files(file))]
    names = [path.name for path in _data_files(file)]
    key = hashlib.sha256(repr([_own_code(), file.parent.name, names, *data]).encode()).hexdigest()
    if key not in _memory():
        tree = ast.parse(data[0].decode(), filename=str(file))
        imports = _imports(tree, file)
        digest = hashlib.sha256(_dump_without_docstrings(tree).encode())
        for path, content in zip(_data_files(file), data[1:], strict=True):
            digest.update(path.name.encode() + content)
        _memory()[key] = [digest.hexdigest(), imports]
    digest, names = _memory()[key]
    return Parsed(digest, tuple(names))


def _dump_without_docstrings(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                del node.body[0]
    return _dump(tree)


def _dump(node: Any) -> str:
    """A syntax tree as text, unlike `ast.dump`'s the same in all versions of Python, which differ in empty fields.

    The Snakemake that plans a run and the environment of its jobs may have two.
    """
    if isinstance(node, ast.AST):
        fields = [(name, getattr(node, name, None)) for name in node._fields]
        return f"{type(node).__name__}({','.join(f'{n}={_dump(v)}' for n, v in fields if v is not None and v != [])})"
    return f"[{','.join(map(_dump, node))}]" if isinstance(node, list) else repr(node)


def _imports(tree: ast.Module, file: Path) -> list[str]:
    """Dotted names that a file imports, wherever in it; `from a import b` may mean the module a.b."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, file)
            names.update([module, *(f"{module}.{alias.name}" for alias in node.names)])
    return sorted(names)


@cache
def _ours(names: tuple[str, ...]) -> tuple[Path, ...]:
    """Files of the vertegrade modules among dotted names, and of the packages that they are in.

    Kept, since each module is behind many rules.
    """
    parents = {".".join(name.split(".")[:n]) for name in names for n in range(1, name.count(".") + 2)}
    ours = (name for name in parents if name.split(".")[0] == PACKAGE and not f"{name}.".startswith(NOT_COUNTED))
    return tuple(file for file in map(_module_file, ours) if file is not None)


def _data_files(file: Path) -> list[Path]:
    """Templates and tables in a package's folder count as part of its __init__.py."""
    if file.name != "__init__.py":
        return []
    found = (
        p for p in file.parent.iterdir() if p.suffix in {".j2", ".css", ".js", ".json", ".csv", ".tsv"} and p.is_file()
    )
    return sorted(found)


@cache
def _memory() -> dict[str, list[Any]]:
    """Earlier results for files of the same bytes: parsing is half of the time of reading the Snakefile.

    Kept next to Python's own bytecode, and like that not kept where the folder cannot be written.
    """
    path = SCRIPTS / "__pycache__" / f"code_hash.{sys.implementation.cache_tag}.json"
    try:
        known: dict[str, list[Any]] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        known = {}
    atexit.register(_remember, path, known, len(known))
    return known


def _remember(path: Path, known: dict[str, list[Any]], before: int) -> None:
    if len(known) == before:
        return
    temporary = path.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        temporary.write_text(json.dumps(known), encoding="utf-8")
        temporary.replace(path)


def script_of(rule: str) -> str:
    """Name of the script that a rule runs: its own; for a stage on other scans (`crop_virtual`) that of the stage."""
    return rule.removesuffix("_virtual").removesuffix("_metastasis")


def code_files(script: str) -> list[Path]:
    """The script workflow_scripts/<script>.py and every vertegrade file it imports, directly or not."""
    todo = [SCRIPTS / f"{script}.py"]
    seen: set[Path] = set()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo.extend(_ours(_parse(file).imports))
    return sorted(seen)


def code_digests(script: str) -> dict[str, str]:
    """Digest of each file behind a script, by its path from workflow_scripts/."""
    return {file.relative_to(SCRIPTS).as_posix(): _parse(file).digest[:16] for file in code_files(script)}


def code_of(script: str) -> str:
    """Content hash of all code behind a script."""
    return hash_of(code_digests(script))


def hash_of(digests: dict[str, str]) -> str:
    """`code_of` from `code_digests`."""
    lines = [f"{file} {digest}" for file, digest in sorted(digests.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def planned_code_of(script: str, remote: bool) -> str:
    """`code_of` when the run was started.

    remote: this is a job on a cluster, which reads the workflow again; it has the hash from its environment.
    """
    name = f"VERTEGRADE_CODE_OF_{script}"
    if not remote or name not in os.environ:
        os.environ[name] = code_of(script)
    return os.environ[name]


def run_this_clone() -> None:
    """Let jobs find the code of this clone first, whatever PYTHONPATH or an installed package of another clone says."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(SCRIPTS)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(SCRIPTS), *paths])


def digests_of(modules: Sequence[str]) -> dict[str, str]:
    """Digests of modules, by their paths from workflow_scripts/: of what they mean, not of their bytes."""
    return {module: _parse(SCRIPTS / module).digest for module in modules}


class CodeError(RuntimeError):
    """A job does not run the code that it was planned with; the message says what to do."""


def leads_elsewhere(there: Path, here: str) -> str:
    """What is wrong where jobs import another clone's code, and what to do."""
    return (
        f"jobs would run the code in {there}, not this workflow's in {here}: PYTHONPATH "
        f"({os.environ.get('PYTHONPATH') or 'empty'}) or an installed package leads there; unset PYTHONPATH, or remove "
        "the package"
    )


class LoadedCode:
    """The code of a script as this process has it. digests: `code_digests` of what was loaded."""

    def __init__(self, script: str, planned: str, folder: str) -> None:
        """CodeError unless it is the code `planned` (`code_of`; "" if nobody said) of the scripts in `folder`."""
        self.digests = code_digests(script)
        self._script, self._before = script, set(_loaded())
        if not planned or hash_of(self.digests) == planned:
            return
        if folder and Path(folder).resolve() != SCRIPTS:
            raise CodeError(f"{script}: {leads_elsewhere(SCRIPTS, str(Path(folder).resolve()))}")
        raise CodeError(f"{script}: its code in {SCRIPTS} was changed after this run was started; {START_AGAIN}")

    def require_unchanged(self) -> None:
        """CodeError where a module that was loaded later (imports during the work) differs from that at the start."""
        later = sorted(_loaded() - self._before)
        names = {file.relative_to(SCRIPTS).as_posix(): file for file in later if file.is_relative_to(SCRIPTS)}
        changed = [n for n, f in names.items() if n in self.digests and _digest_now(f) != self.digests[n]]
        if changed:
            raise CodeError(f"{self._script}: {', '.join(changed)} was changed while it worked; {START_AGAIN}")


START_AGAIN = (
    "start snakemake again, and leave the code alone until it has ended (a second clone is the place for edits)"
)


def _loaded() -> set[Path]:
    """Files of the vertegrade modules that this process has loaded."""
    modules = [module for name, module in list(sys.modules.items()) if name.split(".")[0] == PACKAGE]
    return {Path(file) for module in modules if (file := getattr(module, "__file__", None))}


def _digest_now(file: Path) -> str:
    return _parse.__wrapped__(file).digest[:16]


def packages_of(script: str) -> dict[str, str]:
    """Versions of the computing packages that the code behind a script imports; what is not installed is left out.

    Without the part after a +: torch's builds for CPU and GPU of a cluster's nodes are one version.
    """
    names = {name.split(".")[0] for file in code_files(script) for name in _parse(file).imports}
    wanted = sorted(COMPUTING[name] for name in names & COMPUTING.keys())
    return {name: _installed()[name].split("+")[0] for name in wanted if name in _installed()}


@cache
def _installed() -> dict[str, str]:
    """Versions by distribution, from the names of the installers' folders: reading each's metadata takes far longer."""
    numpy = importlib.util.find_spec("numpy")
    if numpy is None or numpy.origin is None:
        return {}
    folders = Path(numpy.origin).parent.parent.glob("*.dist-info")
    pairs = (folder.name.removesuffix(".dist-info").split("-", 1) for folder in folders)
    return {name.lower().replace("_", "-"): version for name, version in pairs}
