"""Resolve requirements*.in in an empty virtual environment and write the locks: `make lock`."""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEAD = "# Exact versions of {source} and all it needs, for Python 3.11. Written by `make lock`.\n"


def main() -> None:
    """Install the runtime requirements, then the development ones; what each step adds is its lock."""
    known: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = f"{folder}/bin/pip"
        # torch first and alone: its pin then stands when the others are resolved.
        subprocess.run([pip, "install", "--quiet", "torch==2.13.0"], check=True)
        for name in ("requirements", "requirements-dev"):
            source = HERE / f"{name}.in"
            subprocess.run([pip, "install", "--quiet", "--requirement", str(source)], check=True)
            frozen = subprocess.run([pip, "freeze"], check=True, capture_output=True, text=True).stdout
            # a local version such as 2.13.0+cpu names a build that other machines cannot find
            versions = [line.split("+")[0] for line in frozen.splitlines()]
            lines = [line for line in versions if line not in known]
            known += lines
            (HERE / f"{name}.lock").write_text(HEAD.format(source=source.name) + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
