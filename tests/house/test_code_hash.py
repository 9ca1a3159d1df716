"""A rule's code hash changes with the code that it imports, and with nothing else."""

import ast
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vertegrade.workflow import code_hash
from vertegrade.workflow.code_hash import CodeError, LoadedCode


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
    code_hash._ours.cache_clear()


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


def test_a_table_under_another_name_is_other_code(scripts: Path) -> None:
    (scripts / "vertegrade/x/old.csv").write_text("1")
    before = hash_after(scripts, "vertegrade/x/one.py", "from .two import f\n")
    code_hash._remember(
        scripts / "__pycache__" / f"code_hash.{sys.implementation.cache_tag}.json", code_hash._memory(), 0
    )
    (scripts / "vertegrade/x/old.csv").rename(scripts / "vertegrade/x/new.csv")
    assert hash_after(scripts, "vertegrade/x/one.py", "from .two import f\n") != before


def test_syntax_trees_of_other_pythons_are_the_same_text() -> None:
    tree = ast.parse("def f(a, *, b=None):\n    return a[0] if a else -1.5e3\n")
    before = code_hash._dump(tree)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.type_params = []  # what Python 3.12 adds
    function._fields = (*function._fields, "type_params")  # type: ignore[misc]
    function.returns = None
    assert code_hash._dump(tree) == before
    function.body = []
    assert code_hash._dump(tree) != before


def test_code_of_a_cluster_job_is_that_of_the_runs_start(scripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # A3
    monkeypatch.delenv("VERTEGRADE_CODE_OF_a", raising=False)
    started = code_hash.planned_code_of("a", remote=False)
    assert started == code_hash.code_of("a")
    edited = hash_after(scripts, "vertegrade/x/two.py", "def f():\n    return 2\n")
    assert code_hash.planned_code_of("a", remote=True) == started != edited
    with pytest.raises(CodeError, match=r"its code in .* was changed after this run was started; start snakemake"):
        LoadedCode("a", started, str(scripts))
    assert code_hash.planned_code_of("a", remote=False) == edited
    monkeypatch.delenv("VERTEGRADE_CODE_OF_a")
    assert code_hash.planned_code_of("a", remote=True) == edited  # where the environment does not come along


def test_a_module_that_is_loaded_after_an_edit_is_refused(  # field test A3
    scripts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loaded:
        __file__ = str(scripts / "vertegrade/x/two.py")

    code = LoadedCode("a", code_hash.code_of("a"), str(scripts))
    (scripts / "vertegrade/x/one.py").write_text("from .two import f as g\n")
    code.require_unchanged()  # nothing was loaded since
    monkeypatch.setitem(sys.modules, "vertegrade.x.two", Loaded)  # type: ignore[arg-type]
    code.require_unchanged()
    (scripts / "vertegrade/x/two.py").write_text("# why\ndef f():\n    return 1\n")
    code.require_unchanged()
    (scripts / "vertegrade/x/two.py").write_text("def f():\n    return 2\n")
    with pytest.raises(CodeError, match=r"a: vertegrade/x/two\.py was changed while it worked"):
        code.require_unchanged()


def test_all_code_that_scripts_load_is_in_their_hash() -> None:
    """No module is imported by a name made at run time, which the hash could not see.

    But for `vertegrade.grade_scan`, which is meant not to be seen: no rule asks for it.
    """
    for file in set(code_hash.SCRIPTS.rglob("*.py")) - {code_hash.SCRIPTS / "vertegrade/__init__.py"}:
        text = file.read_text(encoding="utf-8")
        assert "import_module(" not in text, file
        assert "__import__(" not in text, file
