"""What a node says it journalled, held to the form that such an entry has.

A node's word is not believed, and need not even be well formed: an entry that has another form than
its type is shown as such and merged into nothing, so that no node ends or bends what is shown of
the others.
"""

from __future__ import annotations

from pydantic import ValidationError

import opkit.wire.agreements
import opkit.wire.clearing
import opkit.wire.compute
import opkit.wire.federation
import opkit.wire.governance
import opkit.wire.holds
import opkit.wire.ledger
import opkit.wire.membership
import opkit.wire.network
import opkit.wire.objects
import opkit.wire.overlay  # noqa: F401 - each of them names the events of its domain
from opkit.wire.events import EVENTS, JournalEntry


def is_sound(entry: JournalEntry) -> bool:
    """Return whether an entry has the form of its type; further fields do no harm.

    An entry of a type that is not known here is merged into nothing, and so has any form.
    """
    form = EVENTS.get(entry.type)
    if form is None:
        return True
    try:
        form.model_validate(
            {name: entry.body[name] for name in form.model_fields if name in entry.body}
        )
    except ValidationError:
        return False
    return True
