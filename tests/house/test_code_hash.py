"""A rule's code hash changes with the code that it imports, and with nothing else."""

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vertegrade import code_hash


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small tree: script a imports vertegrade.x.one, which imports .two; vertegrade.x.other is not imported."""
    room = tmp_path / "vertegrade" / "x"
    room.mkdir(parents=True)
    (tmp_path / "vertegrade" / "__init__.py").write_text('"""p"""\n')
    (room / "__init__.py").write_text('"""x"""\n')
    (room / "one.py").write_text("from .two import f\n")
    (room / "two.py").write_text("def f():\n    return 1\n")
    (room / "other.py").write_text("g = 1\n")
    (tmp_path / "a.py").write_text("from vertegrade.x.one import f\n")
    monkeypatch.setattr(code_hash, "SCRIPTS", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    code_hash._parse.cache_clear()
    code_hash._memory.cache_clear()
    code_hash._module_file.cache_clear()


def hash_after(scripts: Path, file: str, text: str) -> str:
    (scripts / file).write_text(text)
    forget()
    return code_hash.code_of("a")


def test_closure_is_followed(scripts: Path) -> None:
    names = {path.name for path in code_hash.code_files("a")}
    assert names == {"a.py", "__init__.py", "one.py", "two.py"}


def test_indirect_edit_changes_the_hash(scripts: Path) -> None:
    before = code_hash.code_of("a")
    assert hash_after(scripts, "vertegrade/x/two.py", "def f():\n    return 2\n") != before


def test_comment_docstring_and_foreign_edits_do_not(scripts: Path) -> None:
    before = code_hash.code_of("a")
    assert hash_after(scripts, "vertegrade/x/two.py", 'def f():\n    """New words."""\n    return 1\n') == before
    assert hash_after(scripts, "vertegrade/x/two.py", "# why\ndef f():\n\n    return 1\n") == before
    assert hash_after(scripts, "vertegrade/x/other.py", "g = 2\n") == before


def test_template_edit_changes_the_hash(scripts: Path) -> None:
    before = code_hash.code_of("a")
    assert hash_after(scripts, "vertegrade/x/page.html.j2", "<p>") != before


def test_real_scripts_do_not_depend_on_settings_classes() -> None:
    files = code_hash.code_files("crop")
    assert any(path.name == "crop.py" and path.parent.name == "spine" for path in files)
    assert not any(path.parent.name == "settings" for path in files)


def test_packages_are_those_that_the_closure_computes_with(scripts: Path) -> None:
    assert code_hash.packages_of("a") == {}
    (scripts / "vertegrade/x/two.py").write_text(
        "import os\nimport pandas\nfrom sklearn.svm import SVC\nimport torch.nn\n"
    )
    forget()
    assert code_hash.packages_of("a") == {
        "scikit-learn": importlib.metadata.version("scikit-learn"),
        "torch": importlib.metadata.version("torch").split("+")[0],
    }


def test_what_was_parsed_before_is_remembered_by_content(scripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_hash.code_of("a")
    memory = code_hash._memory()
    code_hash._remember(scripts / "__pycache__" / f"code_hash.{sys.implementation.cache_tag}.json", memory, 0)
    forget()
    monkeypatch.setattr(code_hash.ast, "parse", None)
    assert code_hash.code_of("a") == before


def test_a_memory_that_cannot_be_read_is_made_anew(scripts: Path) -> None:
    before = code_hash.code_of("a")
    (scripts / "__pycache__").mkdir()
    (scripts / "__pycache__" / f"code_hash.{sys.implementation.cache_tag}.json").write_text("{")
    forget()
    assert code_hash.code_of("a") == before
