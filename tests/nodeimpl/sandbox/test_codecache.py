"""Compiled code counts only under its MAC, in a folder that is ours alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodeimpl.sandbox.codecache import CacheUnsafe, CodeCache
from nodeimpl.sandbox.engine import engine_id
from opkit.proof.cid import cid_of
from opkit.wire.network import EngineId

NAME, OTHER = cid_of(b"one"), cid_of(b"two")


def opened(folder: Path, **values: object) -> CodeCache:
    fields: dict[str, object] = {"engine": engine_id(), "files_max": 4, "bytes_max": 10_000}
    return CodeCache(folder, **(fields | values))  # type: ignore[arg-type]  # a test's shorthand


def kept_file(folder: Path, name: str) -> Path:
    (path,) = (each for each in folder.iterdir() if each.name.startswith(name))
    return path


def test_code_comes_back_also_after_a_restart(tmp_path: Path) -> None:
    opened(tmp_path / "c").put(NAME, b"native")
    again = opened(tmp_path / "c")
    assert again.get(NAME) == b"native"
    assert again.get(OTHER) is None


def test_an_altered_file_counts_as_absent(tmp_path: Path) -> None:
    cache = opened(tmp_path / "c")
    cache.put(NAME, b"native")
    path = kept_file(tmp_path / "c", NAME)
    for damaged in (path.read_bytes()[:-1] + b"X", b"short", b""):
        path.write_bytes(damaged)
        assert cache.get(NAME) is None


def test_code_of_another_name_engine_or_key_counts_as_absent(tmp_path: Path) -> None:
    cache = opened(tmp_path / "c")
    cache.put(NAME, b"native")
    path = kept_file(tmp_path / "c", NAME)
    path.with_name(path.name.replace(NAME, OTHER)).write_bytes(path.read_bytes())
    assert cache.get(OTHER) is None
    other = EngineId(name="wasmtime", version=engine_id().version, settings="0" * 64)
    assert opened(tmp_path / "c", engine=other).get(NAME) is None
    (tmp_path / "c" / "mac.key").write_bytes(b"short")
    assert opened(tmp_path / "c").get(NAME) is None


def test_the_folder_and_the_key_are_ours_alone(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    opened(folder).put(NAME, b"native")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "mac.key").stat().st_mode & 0o777 == 0o600
    folder.chmod(0o755)
    with pytest.raises(CacheUnsafe, match="ours alone"):
        opened(folder)


@pytest.mark.parametrize("bounds", [{"files_max": 2}, {"bytes_max": 250}])
def test_the_oldest_go_when_there_are_too_many(tmp_path: Path, bounds: dict[str, int]) -> None:
    cache = opened(tmp_path / "c", **bounds)
    names = [cid_of(bytes([n])) for n in range(4)]
    for name in names:
        cache.put(name, bytes(80))
    kept = [name for name in names if cache.get(name) is not None]
    assert kept == names[-2:]
