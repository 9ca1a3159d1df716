"""Nothing half-written ever carries a final name."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from vertegrade.arrays import array_in_parts, read_array, write_array
from vertegrade.files import new_file, new_folder, sha256_of, write_json, write_text
from vertegrade.weights import write_weights


def test_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), new_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_folder(tmp_path / "f") as temporary:
        (temporary / "x").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_new_folder_replaces_the_old_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with new_folder(tmp_path / "f") as temporary:
            (temporary / name).write_text("")
    assert [p.name for p in (tmp_path / "f").iterdir()] == ["two"]


def test_array_round_trip_also_when_empty(tmp_path: Path) -> None:
    for array in (np.arange(6, dtype=np.int16).reshape(2, 3), np.empty((0, 3))):
        write_array(tmp_path / "a.npy", array)
        np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), array)


@pytest.mark.parametrize("data", [b"", b"no array", b"\x93NUMPY\x01\x00"], ids=["empty", "text", "cut"])
def test_a_damaged_array_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.npy: not a whole array"):
        read_array(tmp_path / "a.npy")


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_folder_hash_sees_names_and_bytes_but_not_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = sha256_of(tmp_path)
    (tmp_path / ".snakemake_timestamp").write_text("")
    assert sha256_of(tmp_path) == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert sha256_of(tmp_path) != first


def test_leftovers_of_a_killed_process_go(tmp_path: Path) -> None:
    (tmp_path / ".tmp-123-a.json").write_text("half")
    (tmp_path / ".tmp-123-b-a.json").write_text("of another file")
    (tmp_path / ".tmp-123-a").mkdir()
    (tmp_path / ".tmp-123-a" / "half").touch()
    write_json(tmp_path / "a.json", 1)
    with new_folder(tmp_path / "a") as temporary:
        (temporary / "whole").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "a.json", ".tmp-123-b-a.json"}


@pytest.mark.parametrize("array", [np.zeros((0, 3)), np.arange(12, dtype=np.int16).reshape(3, 4).T])
def test_arrays_are_what_numpy_writes(tmp_path: Path, array: np.ndarray) -> None:
    write_array(tmp_path / "ours.npy", array)
    np.save(tmp_path / "numpy.npy", np.ascontiguousarray(array))
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()


def test_an_array_in_parts_is_the_same_file_and_none_where_rows_are_missing(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    write_array(tmp_path / "whole.npy", array)
    with array_in_parts(tmp_path / "parts.npy", array.shape, "int16") as parts:
        parts.write(array[:1])
        parts.write(array[1:])
        with pytest.raises(ValueError, match="no part"):
            parts.write(array.astype(np.int32))
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    with (
        pytest.raises(ValueError, match=r"cut\.npy: 3 of 4 rows"),
        array_in_parts(tmp_path / "cut.npy", array.shape, "int16") as parts,
    ):
        parts.write(array[:3])
    assert not (tmp_path / "cut.npy").exists()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_may_be_read_by_whom_the_umask_says_whatever_writes_them(  # field test B10
    tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        write_weights(tmp_path / "a.safetensors", torch.nn.Linear(2, 2), {})
        with new_file(tmp_path / "b") as temporary:  # as mkstemp does
            temporary.unlink()
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL, 0o600))
        write_text(tmp_path / "c", "x")
        with new_file(tmp_path / "key", private=True) as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"a.safetensors": mode, "b": mode, "c": mode, "key": 0o600}
