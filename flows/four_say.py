"""What a presenter says beside the steps of flow 4: for the ear, as sentences are for the eye."""

from __future__ import annotations

from typing import Final

SAY: Final[dict[str, str]] = {
    "EVIDENCE_GATHERED": (
        "Somebody pays for all this, and wants to know what came of it. Zuri audits the four"
        " cooperatives. Their founders agreed to that in their charters. She reads every entry,"
        " every decision, every agreement. How a neighbour voted she does not get to see."
    ),
    "CHAINS_VERIFIED": (
        "She does not take a node's word for it. Her own program follows each link: from the"
        " charter to the decision, from the decision to the payment, from one entry to the next."
        " Then we cheat twice. One entry is left out, another is changed by a cent. Both are"
        " found."
    ),
    "GAP_REPORTED": (
        "Theo has booked a bill for computing, and keeps the receipt in a drawer. A polite report"
        " would pass over that. This one says what is missing, and who rests on it, and counts"
        " the bill apart. When Theo hands the receipt over, the gap is closed."
    ),
    "FIGURES_LINKED": (
        "Here is the report. Every figure in it opens, and shows all that it was made of. We add"
        " each one up again, by another program, and it comes out the same. Whoever funds them can"
        " do that at home, without asking anybody."
    ),
    "AUDITOR_WRITE_REFUSED": (
        "And could the auditor change what she audits? With her tokens she asks all five nodes for"
        " everything that changes anything. Each says no. The other cooperatives give her no token"
        " that touches their books, either. At home she is a member too, and for that needs another"
        " token. Not one entry has come in."
    ),
}
"""By marker. Read aloud, each takes between ten and twenty-five seconds."""
