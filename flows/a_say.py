"""What a presenter says beside the steps of flow A: for the ear, as sentences are for the eye.

It stands apart from the flow, so that who presents may change a word without touching a check.
"""

from __future__ import annotations

from typing import Final

SAY: Final[dict[str, str]] = {
    "MODULE_DEPLOYED": (
        "Mara works at the tool library. She puts a small program on her own node, and what she"
        " gets back is a fingerprint of its bytes. We have just computed the same fingerprint"
        " here. From now on that is the program's only name."
    ),
    "MODULE_LISTED": (
        "Nothing is hidden about it: ask for the fingerprint, or ask what Mara has put there, and"
        " the node says the same."
    ),
    "TASK_SUBMITTED": (
        "Hugo, in another cooperative, wants to share out a surplus of three thousand eight"
        " hundred and forty credits by hours worked. He signs an order and asks for Harbor Homes"
        " to carry it out. Neither his node nor Harbor's has this program: look at the first two"
        " checks."
    ),
    "MODULE_FETCHED": (
        "Harbor had never seen this code. It looked in the network for whoever says that they have"
        " this fingerprint, River City sent the bytes, and Harbor checked them before it ran a"
        " single instruction. We hash Harbor's copy ourselves: it is the same program."
    ),
    "TASK_COMPLETED": (
        "Hugo gets eight hundred and seventy-nine credits. We did not take the node's word for"
        " it: the five shares are computed a second time here, in another language, and the two"
        " results are equal to the byte."
    ),
    "RECEIPT_VERIFIED": (
        "Harbor signs what it did: which program, which figures, whose order, which result, under"
        " which limits. We check that signature without asking anyone, up to the agreement that"
        " founded this network. You can save this proof and check it at home."
    ),
    "UNKNOWN_HASH_REFUSED": (
        "So much for the good days. Now we try what must not work. First, a fingerprint that"
        " nobody has. Hugo asks for the program, then for a run of it, and both times he gets a"
        " plain no, not a request that hangs."
    ),
    "BAD_HASH_REFUSED": (
        "One letter is missing from the fingerprint. The node does not guess and does not go"
        " looking: it says that this is no fingerprint at all."
    ),
    "OVERSIZE_REFUSED": (
        "Mara sends one byte more than a node takes. It is turned away at the door, before it is"
        " read, so nobody can fill a cooperative's disk this way."
    ),
    "TAMPERED_MODULE_REFUSED": (
        "This is the one to watch. A liar has joined and offers Harbor other bytes under the right"
        " name. They arrive, the fingerprint does not match, the liar is named in Harbor's"
        " journal, and River City is asked instead. Hugo still gets the right result."
    ),
    "LOOP_STOPPED": (
        "A program that never ends. Harbor gives it a limited amount of work, stops it there, signs"
        " that it was stopped, and the next ordinary task runs as if nothing had happened."
    ),
    "MEMORY_BOUNDED": (
        "A program that wants all the memory of the machine. It gets sixteen megabytes and not one"
        " more, and again the next task runs."
    ),
    "UNAUTHENTICATED_REFUSED": (
        "The program is there, but a stranger asks for it with no token. Who has not said who they"
        " are gets nothing, not even a hint that it exists."
    ),
    "SCOPE_REFUSED": (
        "Last, somebody we do know. Hugo's token here is only good for reading. He may look at"
        " programs with it, and run none. Having a key is not the same as being allowed."
    ),
}
"""By marker. Read aloud, each takes between ten and twenty seconds."""
