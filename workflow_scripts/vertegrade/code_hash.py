"""Which code a rule depends on: a content hash over its script and every vertegrade module that the script imports.

Snakemake sees a script's mtime but no imported module, so rules carry this hash in their params. Syntax trees are
hashed, not bytes: an edit of comments or layout re-runs nothing. The settings classes are left out, because the values
that a rule uses are in its params already: a new key elsewhere re-runs nothing.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
PACKAGE = "vertegrade"


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


@cache
def _parse(file: Path) -> tuple[str, frozenset[Path]]:
    """Digest of a file's syntax tree and data files beside it, and the vertegrade files it imports directly."""
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, file)
            names.update([module, *(f"{module}.{alias.name}" for alias in node.names)])
    parents = {".".join(name.split(".")[:n]) for name in names for n in range(1, name.count(".") + 2)}
    ours = {name for name in parents if name.split(".")[0] == PACKAGE and name.split(".")[:2] != [PACKAGE, "settings"]}
    found = {_module_file(name) for name in ours}
    digest = hashlib.sha256(ast.dump(tree).encode())
    for data in sorted(p for p in _data_files(file)):
        digest.update(data.name.encode() + data.read_bytes())
    return digest.hexdigest(), frozenset(path for path in found if path is not None)


def _data_files(file: Path) -> list[Path]:
    """Templates and tables in a package's folder count as part of its __init__.py."""
    if file.name != "__init__.py":
        return []
    return [p for p in file.parent.iterdir() if p.is_file() and p.suffix in {".j2", ".css", ".json", ".csv", ".tsv"}]


def code_files(script: str) -> list[Path]:
    """The script workflow_scripts/<script>.py and every vertegrade file it imports, directly or not."""
    todo = [SCRIPTS / f"{script}.py"]
    seen: set[Path] = set()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo.extend(_parse(file)[1])
    return sorted(seen)


def code_of(script: str) -> str:
    """Content hash of all code behind a script."""
    lines = [f"{file.relative_to(SCRIPTS)} {_parse(file)[0]}" for file in code_files(script)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
