"""What stops a store, as opposed to what refuses one ask (`opkit.wire.gateway.StoreBusy`)."""

from __future__ import annotations

from typing import ClassVar


class StoreError(Exception):
    """The store cannot be used. `hint` says what the operator can do."""

    hint: ClassVar[str] = ""

    def __str__(self) -> str:
        """Return what is wrong and what to do."""
        said = super().__str__()
        return f"{said} (hint: {self.hint})" if self.hint else said


class StoreLocked(StoreError):
    """Another process owns this store."""

    hint = "one process per store: stop the other node, or give this one a folder of its own"


class SchemaNewer(StoreError):
    """The database was written by a newer version than this one."""

    hint = "run the newer version, or restore a backup made before the upgrade"


class SchemaBroken(StoreError):
    """The database says that it has this version's schema, and it has not."""

    hint = "restore a backup; the file was changed by something else"


class HistoryLost(StoreError):
    """The database is not the newest of this node's history: signing would contradict it."""

    hint = (
        "put back the newest database; if it is lost for good: "
        "opkit node new-generation CONFIG, with the node's configuration file"
    )


class HistoryEmpty(StoreError):
    """There is no history yet that another generation could go on from."""

    hint = "is it the right configuration? A node that has never run is started: opkit node run"


class StoreFailed(StoreError):
    """The store broke while it ran: what the last group of changes did is not known.

    The node must stop; when it starts again, the database says what was kept.
    """

    hint = "start the node again; repeat what was not answered, with the same idempotency keys"


class StoreSuperseded(StoreFailed):
    """Another process has become the owner of the database."""

    hint = "two nodes have one database: stop the other, or give this one a database of its own"


class StoreBehind(StoreFailed):
    """The database lacks what it had confirmed: an older copy, or a standby promoted too early."""

    hint = (
        "connect the node with the server that has its newest commits; if they are lost for good: "
        "opkit node new-generation CONFIG, with the node's configuration file"
    )


class StoreUnreachable(StoreError):
    """There is no connection to the database server."""

    hint = "does the server run, and take writes? Try psql with store.url; passwords: ~/.pgpass"


class StoreClosed(StoreError):
    """The store was closed."""
