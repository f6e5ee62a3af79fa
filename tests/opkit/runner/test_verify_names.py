"""A name in a report is verified from the genesis, whatever the operator signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet.genesis import MadeWorld
from opkit.proof.keys import Identity
from opkit.proof.names import make_claim
from opkit.proof.record import make_record
from opkit.runner.verify import verify_folder
from opkit.story.report import NameRecord
from opkit.views.report import report_html
from opkit.wire.names import NameValue, NodeTarget

RIVER, MARA = "river-city-tool-library", "river-city-tool-library/mara"
NAME = f"lathe.{RIVER}"
NOW_MS, HOUR_MS = 1_800_000_000_000, 3_600_000


def record_by(home: Identity, world: MadeWorld) -> NameRecord:
    """Return the record of a name that Mara claims, countersigned by `home`."""
    claim = make_claim(
        world.members[MARA],
        network=world.view.network,
        name=NAME,
        member_id=MARA,
        target=NodeTarget(node=home.did),
        at_ms=NOW_MS,
        term_ms=HOUR_MS,
    )
    token = make_record(
        home,
        network=world.view.network,
        namespace="name",
        name=NAME,
        value=NameValue(claim=claim).model_dump(mode="json"),
        at_ms=NOW_MS,
        term_ms=HOUR_MS,
    )
    return NameRecord(record=token)


@pytest.mark.parametrize("honest", [True, False])
def test_a_marker_rests_on_the_record_of_a_name(
    tmp_path: Path, made_world: MadeWorld, make_receipt, make_run, write, honest: bool
) -> None:
    home = made_world.nodes[RIVER] if honest else Identity.generate()
    bundle = make_receipt(made_world)
    (flow,) = make_run(made_world, bundle).flows
    marker = flow.markers[0]
    proofs = (*marker.proofs, record_by(home, made_world))
    flow = flow.model_copy(update={"markers": (marker.model_copy(update={"proofs": proofs}),)})
    folder = write(tmp_path / "run", made_world, bundle, flows=(flow,))

    verdict = verify_folder(folder, genesis=made_world.view)

    assert verdict.ok is honest, verdict.failures
    about = [check for check in verdict.checks if "DOUGH_MADE: name" in check.name]
    assert about
    assert all(check.ok is honest for check in about)
    assert "Save the record of the name" in report_html(make_run(made_world, bundle, flows=(flow,)))
