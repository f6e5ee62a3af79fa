"""What a node tells people about the records that it compares with others: sums, and what is where.

From the sums of all nodes one sees at once whether they keep the same; where they do not, one walks
down as two nodes do, and so finds out exactly what lacks where. Source: ADR 0029.
"""

from __future__ import annotations

from nodeimpl.overlay.namespaces import RECONCILED
from nodeimpl.overlay.shelf import Shelf
from opkit.wire.overlay import BELOW_IDS_MAX, Branch, KeptBelow, KeptSet
from opkit.wire.reconcile import ID_BYTES, Prefix, ReconciledNamespace

_DIGITS = "0123456789abcdef"


def kept_sets(shelf: Shelf) -> tuple[KeptSet, ...]:
    """Return of each namespace that nodes compare how many records are here, and their print."""
    return tuple(
        KeptSet(
            namespace=namespace,
            records=len(shelf.ids(namespace)),
            fingerprint=shelf.ids(namespace).fingerprint(),
        )
        for namespace in RECONCILED
    )


def kept_below(shelf: Shelf, namespace: ReconciledNamespace, prefix: Prefix) -> KeptBelow:
    """Return what is here of a namespace whose ids begin with some digits."""
    tree = shelf.ids(namespace)
    count = tree.count(prefix)
    if count <= BELOW_IDS_MAX or len(prefix) >= 2 * ID_BYTES:
        ids = b"".join(item[:ID_BYTES] for item in tree.ids(prefix)[:BELOW_IDS_MAX])
        return KeptBelow(records=count, ids=ids)
    branches = tuple(
        Branch(records=tree.count(prefix + digit), fingerprint=tree.fingerprint(prefix + digit))
        for digit in _DIGITS
    )
    return KeptBelow(records=count, branches=branches)
