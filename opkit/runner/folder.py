"""Writes the run folder: evidence, proofs' bytes, pages, and the operator's word over all of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from opkit.proof.genesis import GenesisView
from opkit.proof.keys import Identity
from opkit.proof.report import ReportStatement, file_hash, sign_report
from opkit.runner.junit import junit_xml
from opkit.runner.nbfile import read_notebook
from opkit.story.record import RunRecord
from opkit.story.report import AuditRecord
from opkit.views.report import audit_name, report_html

EVIDENCE = "evidence.json"
GENESIS_COPY = "genesis-copy.jws"
INDEX = "index.html"
JUNIT = "junit.xml"
SIGNATURE = "report.jws"
FILES_MAX = 1_000


def write_folder(
    folder: Path,
    run: RunRecord,
    *,
    blobs: Mapping[str, bytes],
    genesis: GenesisView,
    operator: Identity,
) -> None:
    """Write everything but the notebooks, which are there, and sign the whole.

    The genesis is a copy for the reader's convenience and says so: nobody verifies against it.

    Raises:
        OSError: the folder cannot be written.
        ProofError: more files than a statement lists.
    """
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    for cid, data in blobs.items():
        (folder / "blobs" / cid).write_bytes(data)
    said = json.dumps(run.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (folder / EVIDENCE).write_text(f"{said}\n", encoding="utf-8")
    for name, data in audit_files(run, genesis=genesis).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / GENESIS_COPY).write_text(f"{genesis.token}\n", encoding="ascii")
    (folder / JUNIT).write_bytes(junit_xml(run))
    _write_notebooks_html(folder)
    (folder / INDEX).write_text(report_html(run), encoding="utf-8")
    sign_folder(folder, run, operator=operator)


def audit_files(run: RunRecord, *, genesis: GenesisView | None) -> dict[str, bytes]:
    """Return the report for funders of each audit of a run, by path: page, table, and evidence."""
    audits = {
        audit_name(flow, marker, number): proof.file
        for flow in run.flows
        for marker in flow.markers
        for number, proof in enumerate(marker.proofs)
        if isinstance(proof, AuditRecord)
    }
    if not audits:
        return {}
    from opkit.proof.audited import examine_audit
    from opkit.proof.figures import figures_csv, figures_of
    from opkit.views.audit import audit_html

    files: dict[str, bytes] = {}
    for name, file in audits.items():
        view = examine_audit(file, genesis=genesis)
        beside = f"{name.rpartition('/')[2]}.json"
        files[f"{name}.html"] = audit_html(view, genesis=genesis, file=beside).encode("utf-8")
        files[f"{name}.csv"] = figures_csv(figures_of(view))
        files[f"{name}.json"] = file.model_dump_json().encode("utf-8")
    return files


def sign_folder(folder: Path, run: RunRecord, *, operator: Identity) -> None:
    """Write the operator's statement over every file that is in the folder now."""
    statement = ReportStatement(
        network=run.network,
        run_id=run.run_id,
        created_ms=run.created_ms + run.took_ms,
        files=tuple(file_hash(name, data) for name, data in sorted(files_of(folder).items())),
    )
    (folder / SIGNATURE).write_text(f"{sign_report(statement, operator)}\n", encoding="ascii")


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a folder but the signature, by relative path.

    Raises:
        ValueError: something is neither file nor folder, or there are more than `FILES_MAX` files.
    """
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{name} is neither a file nor a folder")
        if path.is_file() and name != SIGNATURE:
            found[name] = path.read_bytes()
        if len(found) > FILES_MAX:
            raise ValueError(f"more than {FILES_MAX} files")
    return found


def _write_notebooks_html(folder: Path) -> None:
    executed = sorted((folder / "notebooks").glob("*.ipynb"))
    if not executed:
        return
    from opkit.runner.nbhtml import notebook_html

    for path in executed:
        html = notebook_html(read_notebook(path))
        path.with_suffix(".html").write_text(html, encoding="utf-8")
