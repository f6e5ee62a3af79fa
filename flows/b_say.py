"""What a presenter says beside the steps of flow B: for the ear, as sentences are for the eye.

It stands apart from the flow, so that who presents may change a word without touching a check.
"""

from __future__ import annotations

from typing import Final

SAY: Final[dict[str, str]] = {
    "NAME_REGISTERED": (
        "Mara gives a service a name that people can say. She signs that with her own key, and her"
        " cooperative's node signs beside it with a number. Both signatures are needed: hers says"
        " what she wants, the node's says that nobody else has it."
    ),
    "NAME_PROPAGATED": (
        "Nobody told the other two. The record went from neighbour to neighbour, and each of them"
        " checked both signatures before keeping it. What they hold is the same to the last byte;"
        " look at how long that took."
    ),
    "SERVICE_DISCOVERED": (
        "Rosa is at Harbor Homes. She does not know Mara, and no address is written down anywhere."
        " She asks her own node for somebody who shares out the costs of a lathe, and then believes"
        " nothing: every link from the founding agreement to that answer is checked in this room."
    ),
    "AUTHENTICATED_CALL": (
        "Now she calls. River City's node asks her to sign a number, she does, and gets a token"
        " that is good there, for her, for an hour. There is no password and no account. The"
        " costs are shared out, and we compute the shares again ourselves."
    ),
    "UNSIGNED_IGNORED": (
        "Here come those who should not succeed. A stranger joins and tells all three nodes that"
        " the name now leads to them, in every way in which nodes talk. Nobody has signed that. The"
        " nodes say no, and the answer stays as it was."
    ),
    "FORGED_IGNORED": (
        "This time it is signed, but by the stranger. A signature is worth nothing by itself: it"
        " must be the one of Mara's cooperative, and that is not for the stranger to give."
    ),
    "STALE_IGNORED": (
        "The cunning one. Mara renews her name, and somebody sends around the record from before."
        " Both signatures on it are real. But it has a lower number, so it is over, however often"
        " it is repeated."
    ),
    "NO_TOKEN_REFUSED": (
        "Knowing where a service is does not open its door. A stranger calls without having said"
        " who they are, and learns nothing."
    ),
    "BAD_TOKEN_REFUSED": (
        "Five tokens that are almost right: one has run out, one was given by another node, one was"
        " changed by hand, one was signed by somebody else, and one says that it needs no signature"
        " at all. Each is turned away, and each time the node knows why."
    ),
    "RIVAL_REFUSED": (
        "Could somebody simply be quicker, or louder? Theo is in the same cooperative and wants the"
        " same name. Hugo is in another. Theo hears that it is taken, and by whom; Hugo, that he"
        " is no member."
    ),
    "FOREIGN_WITHDRAWAL_REFUSED": (
        "Theo then tries to take the name away from Mara: once in his own name, once pretending to"
        " be her. Only the hand that holds a name can let it go."
    ),
    "RELAYED_CHALLENGE_REFUSED": (
        "This is the one to watch. Somebody has set up a node of their own, with a proper name and"
        " a proper record. When Rosa calls, it passes on River City's number for her to sign. She"
        " sees whose number it is, and puts the pen down. Had she signed, they would be Rosa."
    ),
    "NAME_WITHDRAWN": (
        "Last, Mara takes the name back, while one of the three computers is switched off. It comes"
        " back, with the old name still on its disk, compares notes with its neighbours, and has"
        " forgotten it too. Nobody had to remember to tell it."
    ),
}
"""By marker. Read aloud, each takes between ten and twenty-five seconds."""
