"""Logs of bounded size: written by a process of its own, whose standard error they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nodeimpl.kernel.rotation import LogStream, numbered, shift_if_full

ROOT = Path(__file__).resolve().parents[3]

WRITE = """
import sys
from pathlib import Path
from nodeimpl.kernel.rotation import LogStream
stream = LogStream(lambda lost: f"lost {lost}\\n")
stream.rotate(Path(sys.argv[1]), bytes_max=int(sys.argv[2]), kept=int(sys.argv[3]))
for number in range(int(sys.argv[4])):
    stream.write(f"line {number}\\n")
    if number % 100 == 50:
        print(f"print {number}", file=sys.stderr, flush=True)
"""


def written(path: Path, *, bytes_max: int, kept: int, lines: int) -> None:
    """Have a process write lines, and others beside them by plain prints."""
    arguments = [str(path), str(bytes_max), str(kept), str(lines)]
    subprocess.run(
        [sys.executable, "-c", WRITE, *arguments],
        check=True,
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        timeout=30,
    )


def files_of(path: Path) -> list[Path]:
    """Return a log's files, oldest first."""
    return sorted(path.parent.glob(f"{path.name}*"), key=lambda at: at.stat().st_mtime_ns)


def test_no_line_is_lost_or_cut_at_a_rotation_and_none_grows_beyond_its_size(
    tmp_path: Path,
) -> None:
    path = tmp_path / "node.log"
    written(path, bytes_max=1_000, kept=100, lines=500)
    names = [path, *(numbered(path, number) for number in range(1, 100))]
    files = [each for each in reversed(names) if each.exists()]
    assert len(files) > 4
    assert all(each.stat().st_size <= 1_000 + 20 for each in files)
    lines = "".join(each.read_text("utf-8") for each in files).splitlines()
    assert [line for line in lines if line.startswith("line")] == [f"line {n}" for n in range(500)]
    assert [line for line in lines if line.startswith("print")] == [
        f"print {number}" for number in range(50, 500, 100)
    ]


def test_only_so_many_earlier_files_stay_and_a_log_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    written(path, bytes_max=500, kept=2, lines=300)
    assert {each.name for each in files_of(path)} == {"node.log", "node.log.1", "node.log.2"}
    path.write_text("before\n", "utf-8")
    written(path, bytes_max=500, kept=2, lines=1)
    assert path.read_text("utf-8").splitlines() == ["before", "line 0"]


def test_a_log_that_an_earlier_process_filled_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "teller.log"
    shift_if_full(path, bytes_max=3)
    path.write_text("abc", "utf-8")
    shift_if_full(path, bytes_max=3)
    assert path.exists()
    path.write_text("abcd", "utf-8")
    shift_if_full(path, bytes_max=3)
    assert numbered(path, 1).read_text("utf-8") == "abcd"
    assert not path.exists()


FULL = """
import os, sys
from pathlib import Path
from nodeimpl.kernel.rotation import LogStream
stream = LogStream(lambda lost: f"lost {lost}\\n")
stream.rotate(Path(sys.argv[1]))
filler = Path(sys.argv[1]).with_name("filler")
stream.write("first\\n")
with filler.open("wb") as file:
    try:
        while True:
            os.write(file.fileno(), bytes(4096))
    except OSError:
        pass
for _ in range(2000):
    stream.write("x" * 100 + "\\n")
assert stream.lost > 100, stream.lost
filler.unlink()
stream.write("last\\n")
"""


def test_a_full_disk_takes_no_line_ends_nothing_and_how_many_were_lost_is_told(
    tmp_path: Path,
) -> None:
    """On a real file system of 128 KiB that is full, mounted where nobody else sees it."""
    mount = f'mount -t tmpfs -o size=128k tmpfs {tmp_path} && "$@" && cat {tmp_path}/node.log'
    namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    probe = subprocess.run(
        [*namespace, "sh", "-c", mount, "sh", "true"], capture_output=True, check=False
    )
    if b"mount" in probe.stderr or b"unshare" in probe.stderr:
        pytest.skip("not run: this system mounts nothing in a namespace")
    done = subprocess.run(
        [*namespace, "sh", "-c", mount, "sh", sys.executable, "-c", FULL, f"{tmp_path}/node.log"],
        capture_output=True,
        cwd=ROOT,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "first"
    assert lines[-2].startswith("lost ")
    assert lines[-1] == "last"
    kept = sum(line == "x" * 100 for line in lines)
    assert kept + int(lines[-2].split()[1]) == 2_000, "each was written or is counted"


def test_an_error_that_is_none_of_the_disks_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def bad(_: int, __: bytes) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr("nodeimpl.kernel.rotation.os.write", bad)
    with pytest.raises(OSError, match="Bad file descriptor"):
        LogStream(str).write("x\n")


NO_NEW_FILE = """
import errno, os, sys
from pathlib import Path
from nodeimpl.kernel import rotation
path = Path(sys.argv[1])
for number in range(1, 4):
    rotation.numbered(path, number).write_text(f"{number}\\n")
stream = rotation.LogStream(lambda lost: f"lost {lost}\\n")
stream.rotate(path, bytes_max=20)
stream.write("x" * 19 + "\\n")
real = os.open

def full(*_, **__):
    raise OSError(getattr(errno, sys.argv[2]), "no room for a file")

os.open = full
for _ in range(5):
    stream.write("y\\n")
os.open = real
stream.write("last\\n")
"""


@pytest.mark.parametrize("why", ["ENOSPC", "EMFILE", "ENFILE"])
def test_a_system_without_room_for_a_new_file_costs_no_earlier_one(
    tmp_path: Path, why: str
) -> None:
    path = tmp_path / "node.log"
    command = [sys.executable, "-c", NO_NEW_FILE, str(path), why]
    subprocess.run(command, check=True, cwd=ROOT, timeout=30)
    said = [numbered(path, number).read_text("utf-8") for number in range(1, 4)]
    assert said == ["x" * 19 + "\n", "1\n", "2\n"]
    assert path.read_text("utf-8") == "lost 5\nlast\n"
