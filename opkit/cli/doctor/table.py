"""Everything that is looked at, in the order in which it is told."""

from __future__ import annotations

from opkit.cli.doctor import clock, database, disk, keys, limits, ports, traces, versions
from opkit.cli.doctor.cases import DevnetCase, MachineCase, NodeCase
from opkit.cli.doctor.found import Check

MACHINE: tuple[Check[MachineCase], ...] = (
    Check(name="versions", look=versions.python),
    Check(name="parts of a node", look=versions.parts),
    Check(name="parts for some", look=versions.extras),
    Check(name="clock corrected", look=clock.corrected),
    Check(name="clock steady", look=clock.steady),
    Check(name="open files", look=limits.files),
    Check(name="bounds of processes", look=limits.bounds),
    Check(name="memory", look=limits.memory),
    Check(name="cores", look=limits.cores),
    Check(name="sandbox", look=limits.confinement),
    Check(name="file system", look=lambda machine: disk.kind(machine.home)),
    Check(name="room on disk", look=lambda machine: disk.room(machine.home)),
    Check(name="sync to disk", look=lambda machine: disk.syncs(machine.home)),
    Check(name="lost processes", look=traces.orphans),
)
"""What does not depend on any one node."""

DEVNET: tuple[Check[DevnetCase], ...] = (
    Check(name="state file", look=traces.readable),
    Check(name="leftovers", look=traces.leftovers),
)
"""What a devnet's supervisor keeps, or left."""

CONFIGURATION: Check[NodeCase] = Check(name="configuration", look=keys.configuration)
"""What comes first: without it nothing else of a node can be looked at."""

NODE: tuple[Check[NodeCase], ...] = (
    Check(name="genesis", look=keys.anchor),
    Check(name="key", look=keys.key),
    Check(name="database", look=database.state),
    Check(name="history", look=database.history),
    Check(name="database's owner", look=database.owner),
    Check(name="blobs", look=disk.promised),
    Check(name="file system", look=lambda node: disk.kind(node.config.node.folder)),
    Check(name="room on disk", look=lambda node: disk.room(node.config.node.folder)),
    Check(name="sync to disk", look=lambda node: disk.syncs(node.config.node.folder)),
    Check(name="ports", look=ports.free),
    Check(name="answers", look=versions.same),
    Check(name="health", look=versions.health),
    Check(name="clock agrees", look=clock.agrees),
    Check(name="clock unset", look=clock.stepped),
    Check(name="leftovers", look=traces.notice),
)
"""What is looked at in every node that has a configuration."""
