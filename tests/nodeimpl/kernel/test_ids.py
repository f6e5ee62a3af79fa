from __future__ import annotations

from pydantic import TypeAdapter

from nodeimpl.kernel.ids import incident_id, network_id, random_id, request_id
from opkit.wire.base import NetworkId
from opkit.wire.compute import TaskId


def test_ids_have_the_shape_of_the_contract_and_differ() -> None:
    for make, shape in (
        (random_id, TaskId),
        (network_id, NetworkId),
        (incident_id, str),
        (request_id, str),
    ):
        made = {make() for _ in range(200)}
        assert len(made) == 200
        for one in made:
            TypeAdapter(shape).validate_python(one)
