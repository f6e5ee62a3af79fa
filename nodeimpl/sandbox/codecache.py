"""Compiled code by the module's name, in a private folder, each file under a MAC.

Compiled code is native code: whoever can put a file here runs it in a worker. So the folder is
0700 and owned by us, and a file counts only with a MAC over engine id, name and code. A file that
does not verify is treated as absent and compiled again.
"""

from __future__ import annotations

import errno
import hmac
import os
import secrets
import stat
from pathlib import Path

from opkit.wire.network import EngineId

_MAC_BYTES = 32
_KEY_FILE = "mac.key"


class CacheUnsafe(Exception):
    """The folder is not ours alone."""


class CodeCache:
    """Files named by module and engine; the oldest go when there are too many."""

    def __init__(self, folder: Path, *, engine: EngineId, files_max: int, bytes_max: int) -> None:
        """Open or make the folder and its key.

        Raises:
            CacheUnsafe: others can write or read the folder, or it belongs to somebody else.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
        if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077:
            raise CacheUnsafe(f"{folder} must be ours alone (mode 0700)")
        self._folder = folder
        self._engine = engine.model_dump_json().encode("utf-8")
        self._suffix = f".{engine.version}-{engine.settings[:16]}"
        self._files_max = files_max
        self._bytes_max = bytes_max
        self._key = self._read_key()

    def _read_key(self) -> bytes:
        path = self._folder / _KEY_FILE
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_bytes()
            if len(key) == _MAC_BYTES:
                return key
            # A crash between creating and writing the key leaves it short: nothing counts yet.
            fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
        key = secrets.token_bytes(_MAC_BYTES)
        with os.fdopen(fd, "wb") as file:
            file.write(key)
        return key

    def _mac(self, name: str, code: bytes) -> bytes:
        mac = hmac.new(self._key, digestmod="sha256")
        for part in (self._engine, name.encode("ascii"), code):
            mac.update(len(part).to_bytes(8, "big"))
            mac.update(part)
        return mac.digest()

    def get(self, name: str) -> bytes | None:
        """Return the code of a module if it is kept and verifies."""
        try:
            data = (self._folder / (name + self._suffix)).read_bytes()
        except FileNotFoundError:
            return None
        mac, code = data[:_MAC_BYTES], data[_MAC_BYTES:]
        return code if hmac.compare_digest(mac, self._mac(name, code)) else None

    def put(self, name: str, code: bytes) -> None:
        """Keep the code of a module; others go if there are too many files or bytes.

        A full disk keeps nothing: the module is compiled again when it is wanted again.
        """
        path = self._folder / (name + self._suffix)
        draft = path.with_name(path.name + ".draft")
        try:
            draft.write_bytes(self._mac(name, code) + code)
            draft.replace(path)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            draft.unlink(missing_ok=True)
            return
        self._make_room(spare=path)

    def _make_room(self, *, spare: Path) -> None:
        found = [path for path in self._folder.iterdir() if path.name != _KEY_FILE]
        aged = sorted(((path.stat(), path) for path in found), key=lambda pair: pair[0].st_mtime_ns)
        count, total = len(aged), sum(about.st_size for about, _ in aged)
        for about, path in aged:
            if count <= self._files_max and total <= self._bytes_max:
                return
            if path != spare:
                path.unlink(missing_ok=True)
                count, total = count - 1, total - about.st_size
