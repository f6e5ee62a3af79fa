"""Is a module's shape within bounds? Asked before it is compiled, because compiling is not bounded.

A valid module of 30 KB (2,000 nested blocks, 10,000 locals) keeps a compiler busy for 48 seconds
and takes 1 GB; neither fuel nor epochs bound that. So counts, sizes, locals and nesting are read
first, by a parser that does only this: it never builds anything as large as what a module claims.
Whether the module is valid in every other way is the engine's to say.

Source: WebAssembly Core Specification 2.0, chapter 5 (binary format).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


class ModuleUnfit(Exception):
    """The module's shape passes a limit, or is no module's; `str()` says which."""


@dataclass(frozen=True)
class CheckLimits:
    """The greatest shape that is compiled. `weight` is locals times nesting of one function."""

    types_max: int = 4_000
    parameters_max: int = 128
    imports_max: int = 128
    functions_max: int = 20_000
    tables_max: int = 4
    table_elements_max: int = 100_000
    memory_pages_max: int = 4_096
    globals_max: int = 2_000
    exports_max: int = 2_000
    elements_max: int = 4_000
    data_segments_max: int = 4_000
    body_bytes_max: int = 512 * 1024
    locals_max: int = 4_000
    nesting_max: int = 512
    weight_max: int = 400_000
    sections_max: int = 256


_MAGIC = b"\0asm\x01\0\0\0"
_WASI = b"wasi_snapshot_preview1"
_CUSTOM, _TYPE, _IMPORT, _FUNCTION, _TABLE, _MEMORY, _GLOBAL = range(7)
_EXPORT, _START, _ELEMENT, _CODE, _DATA, _DATA_COUNT = range(7, 13)


class _Reader:
    """A place in bytes that moves forward; whatever runs past the end is no module."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def byte(self) -> int:
        if self.at >= self.end:
            raise ModuleUnfit("it is cut short")
        value = self.data[self.at]
        self.at += 1
        return value

    def skip(self, size: int) -> None:
        if size > self.end - self.at:
            raise ModuleUnfit("it is cut short")
        self.at += size

    def number(self) -> int:
        """Return an unsigned LEB128 of at most 32 bits."""
        value = shift = 0
        while shift < 35:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise ModuleUnfit("a number is longer than 32 bits")

    def skip_number(self) -> None:
        """Pass a LEB128 of any sign and at most 64 bits."""
        for _ in range(10):
            if self.byte() < 0x80:
                return
        raise ModuleUnfit("a number is longer than 64 bits")

    def name(self) -> bytes:
        size = self.number()
        start = self.at
        self.skip(size)
        return self.data[start : self.at]


def check(module: bytes, limits: CheckLimits) -> None:
    """Pass a module whose shape is within `limits`.

    Raises:
        ModuleUnfit: it is no module, is cut short, imports what a task does not have, or some
            part is larger or more than the limits say.
    """
    if module[: len(_MAGIC)] != _MAGIC:
        raise ModuleUnfit("it is no WebAssembly module of version 1")
    reader = _Reader(module, len(_MAGIC), len(module))
    sections = 0
    while reader.at < reader.end:
        sections += 1
        _bound("sections", sections, limits.sections_max)
        kind, size = reader.byte(), reader.number()
        start = reader.at
        reader.skip(size)
        _check_section(kind, _Reader(module, start, reader.at), limits)


def _bound(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise ModuleUnfit(f"{count} {what}, {limit} are the most")


def _check_section(kind: int, part: _Reader, limits: CheckLimits) -> None:
    counts = {
        _FUNCTION: ("functions", limits.functions_max),
        _GLOBAL: ("globals", limits.globals_max),
        _EXPORT: ("exports", limits.exports_max),
        _ELEMENT: ("element segments", limits.elements_max),
        _DATA: ("data segments", limits.data_segments_max),
    }
    if kind in counts:
        what, limit = counts[kind]
        _bound(what, part.number(), limit)
    elif kind == _TYPE:
        _check_types(part, limits)
    elif kind == _IMPORT:
        _check_imports(part, limits)
    elif kind == _TABLE:
        _check_tables(part, limits)
    elif kind == _MEMORY:
        _check_memories(part, limits)
    elif kind == _CODE:
        _check_code(part, limits)
    elif kind not in (_CUSTOM, _START, _DATA_COUNT):
        raise ModuleUnfit(f"section {kind} is not known")


def _check_types(part: _Reader, limits: CheckLimits) -> None:
    count = part.number()
    _bound("types", count, limits.types_max)
    for _ in range(count):
        if part.byte() != 0x60:
            raise ModuleUnfit("a type is no function's")
        for what in ("parameters", "results"):
            values = part.number()
            _bound(what, values, limits.parameters_max)
            part.skip(values)


def _check_imports(part: _Reader, limits: CheckLimits) -> None:
    count = part.number()
    _bound("imports", count, limits.imports_max)
    for _ in range(count):
        source, name = part.name(), part.name()
        if part.byte() != 0x00 or source != _WASI:
            wanted = f"{source[:64]!r}.{name[:64]!r}"
            raise ModuleUnfit(f"it imports {wanted}, and a task has WASI preview 1 functions only")
        part.number()


def _check_tables(part: _Reader, limits: CheckLimits) -> None:
    count = part.number()
    _bound("tables", count, limits.tables_max)
    for _ in range(count):
        part.byte()
        _bound("table elements", _least(part), limits.table_elements_max)


def _check_memories(part: _Reader, limits: CheckLimits) -> None:
    count = part.number()
    _bound("memories", count, 1)
    for _ in range(count):
        _bound("memory pages", _least(part), limits.memory_pages_max)


def _least(part: _Reader) -> int:
    """Return the minimum of a table's or a memory's limits."""
    flags = part.byte()
    if flags > 1:
        raise ModuleUnfit("a memory or table is shared or of 64 bits")
    least = part.number()
    if flags:
        part.number()
    return least


def _check_code(part: _Reader, limits: CheckLimits) -> None:
    count = part.number()
    _bound("functions", count, limits.functions_max)
    for _ in range(count):
        size = part.number()
        _bound("bytes of one function", size, limits.body_bytes_max)
        start = part.at
        part.skip(size)
        _check_body(_Reader(part.data, start, part.at), limits)


def _check_body(body: _Reader, limits: CheckLimits) -> None:
    groups, locals_ = body.number(), 0
    _bound("groups of locals", groups, limits.locals_max)
    for _ in range(groups):
        locals_ += body.number()
        _bound("locals of one function", locals_, limits.locals_max)
        body.byte()
    # Blocks cannot be deeper than there are bytes that could open one: most bodies end here.
    text = body.data[body.at : body.end]
    most = text.count(2) + text.count(3) + text.count(4)
    if most > limits.nesting_max or most * locals_ > limits.weight_max:
        depth = _nesting(body, limits.nesting_max)
        _bound("locals times nesting of one function", depth * locals_, limits.weight_max)


_PLAIN = re.compile(rb"[\x00\x01\x0f\x1a\x1b\x45-\xc4\xd1]+")
"""Runs of opcodes without an immediate."""

_ONE_NUMBER = frozenset([0x0C, 0x0D, 0x10, *range(0x20, 0x27), 0x41, 0x42, 0xD2])
_TWO_NUMBERS = frozenset([0x11, *range(0x28, 0x3F)])
_FC_NUMBERS = {**dict.fromkeys(range(8), 0), 8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2}
_FC_NUMBERS |= {15: 1, 16: 1, 17: 1}


def _nesting(body: _Reader, limit: int) -> int:
    """Return how deep blocks nest in a function's body; stops as soon as `limit` is passed."""
    depth = deepest = 0
    while body.at < body.end:
        plain = _PLAIN.match(body.data, body.at, body.end)
        if plain is not None:
            body.at = plain.end()
            continue
        opcode = body.byte()
        if opcode in (0x02, 0x03, 0x04):
            body.skip_number()
            depth += 1
            deepest = max(deepest, depth)
            _bound("nested blocks", deepest, limit)
        elif opcode == 0x0B:
            depth -= 1
        elif opcode != 0x05:
            _skip_immediates(body, opcode)
    return deepest


def _skip_immediates(body: _Reader, opcode: int) -> None:
    if opcode in _ONE_NUMBER:
        body.skip_number()
    elif opcode in _TWO_NUMBERS:
        body.skip_number()
        body.skip_number()
    elif opcode in (0x3F, 0x40, 0xD0):
        body.skip(1)
    elif opcode == 0x43:
        body.skip(4)
    elif opcode == 0x44:
        body.skip(8)
    elif opcode in (0x0E, 0x1C):
        _skip_list(body, targets=opcode == 0x0E)
    elif opcode == 0xFC:
        _skip_fc(body)
    elif opcode == 0xFD:
        _skip_simd(body)
    else:
        raise ModuleUnfit(f"instruction 0x{opcode:02x} is not known")


def _skip_list(body: _Reader, *, targets: bool) -> None:
    """Pass the targets of a `br_table`, or the types of a `select`."""
    count = body.number()
    for _ in range(count + (1 if targets else 0)):
        body.skip_number()


def _skip_fc(body: _Reader) -> None:
    sub = body.number()
    if sub not in _FC_NUMBERS:
        raise ModuleUnfit(f"instruction 0xfc {sub} is not known")
    for _ in range(_FC_NUMBERS[sub]):
        body.skip_number()


def _skip_simd(body: _Reader) -> None:
    sub = body.number()
    if sub <= 11 or 92 <= sub <= 93:
        body.skip_number()
        body.skip_number()
    elif sub in (12, 13):
        body.skip(16)
    elif 21 <= sub <= 34:
        body.skip(1)
    elif 84 <= sub <= 91:
        body.skip_number()
        body.skip_number()
        body.skip(1)
    elif sub > 255:
        raise ModuleUnfit("relaxed vector instructions are off")
