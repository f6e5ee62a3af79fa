"""What a presenter says beside the steps of flow C: for the ear, as sentences are for the eye."""

from __future__ import annotations

from typing import Final

SAY: Final[dict[str, str]] = {
    "SPEND_DECIDED": (
        "Whoever decides about money leaves something behind that could be used twice: a"
        " decision. So each payment carries a number, and the treasury takes each number once. In"
        " one week Harbor Homes decides on three: a roof, a carpet, and gutters. The carpet is"
        " voted down."
    ),
    "NONCE_SPENT": (
        "The day for objections is over, and the roofer is paid. From here on the roof's number"
        " is used up, whatever anybody shows."
    ),
    "POSITION_MOVED_ONCE": (
        "Look at the treasury before and after. Then the same request comes again, as it does"
        " when a line breaks and somebody presses the button twice. The money has moved once, and"
        " one entry says so."
    ),
    "USED_NONCE_REFUSED": (
        "Now a replay with better manners. Rosa signs a new payment with the roof's old number,"
        " and Felix tries to pay the gutters with it. The treasury remembers."
    ),
    "REJECTED_NONCE_REFUSED": (
        "The carpet was voted down, so its number was never paid out. Is it free to be used"
        " again? No. If it were, a decision that failed could come back under the number that"
        " people remember."
    ),
    "FUTURE_NONCE_REFUSED": (
        "And a number from the future, to be waved through when its time comes? That is refused"
        " as well. Numbers are taken in their order, so nothing can be prepared behind anybody's"
        " back."
    ),
    "ALTERED_AMOUNT_REFUSED": (
        "The gutters are decided: fifteen hundred dollars. Felix pays one cent more, then the"
        " right amount to somebody else. The node compares with what was voted on, and says what"
        " differs. Paid exactly as decided, it goes through."
    ),
}
"""By marker. Read aloud, each takes between ten and twenty-five seconds."""
