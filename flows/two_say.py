"""What a presenter says beside the steps of flow 2: for the ear, as sentences are for the eye."""

from __future__ import annotations

from typing import Final

SAY: Final[dict[str, str]] = {
    "HISTORY_READ": (
        "BrightWorks belongs to the five who work there. These are its books, read over the"
        " network by Leila, who is no officer. Each entry is chained to the one before, and we add"
        " all of them up again: what the node says it has is what the entries come to."
    ),
    "POSITION_READ": (
        "How does each of the five stand? The node answers to their names and to their keys"
        " alike, and again it is no more and no less than what the entries say."
    ),
    "DISTRIBUTION_DECIDED": (
        "The quarter left three thousand eight hundred and forty credits. Gwen, the treasurer,"
        " proposes to share them out by hours worked. All five have a week to look at it, and all"
        " five say yes."
    ),
    "ALLOCATIONS_COMPUTED": (
        "Five hundred and twenty-four hours do not divide that evenly. Rounding would lose"
        " credits or invent some. So everybody first gets the whole part, and what is left over"
        " goes to the largest remainders. It is the same for whoever computes it, to the last"
        " credit."
    ),
    "ALLOCATIONS_SETTLED": (
        "A day later Gwen settles it. All five are paid in one entry: either everybody, or"
        " nobody. The entry names the decision, and what is in it was compared with what was voted"
        " on, line by line."
    ),
    "POSITIONS_MATCH": (
        "And so it stands. Each of the five has exactly their share more than before, the surplus"
        " is at zero, and all the books of the cooperative together sum to zero, as they always"
        " must."
    ),
    "DOUBLE_SETTLE_REFUSED": (
        "Somebody settles it again, because the line was slow or because it was so nice. The"
        " decision was for one distribution. Nobody gets a second share."
    ),
    "OVERDRAFT_REFUSED": (
        "Leila has her credits now, and may spend them. She tries to spend one more than she has."
        " There is no credit here that nobody has granted."
    ),
    "SCOPE_REFUSED": (
        "Three more try to settle: Gwen herself with a token that may only read, Bram, who is a"
        " member but no officer, and a stranger without any. None of them comes as far as the"
        " books."
    ),
    "WHY_ANSWERED": (
        "Last, the question that a member will ask: why did I get this much? For Leila we walk"
        " back: from her balance to the entry, from the entry to the decision, from the decision"
        " to the hours and the five votes, one of them her own. Each link is checked here, and"
        " none asks you to believe anybody."
    ),
}
"""By marker. Read aloud, each takes between ten and twenty-five seconds."""
