"""What a presenter says beside the steps of flow 3: for the ear, as sentences are for the eye."""

from __future__ import annotations

from typing import Final

SAY: Final[dict[str, str]] = {
    "BOTH_DECIDED": (
        "River City lends out tools, and its lathe stands still at night. BrightWorks could use"
        " it, and knows how to mend it. Before anybody signs, the members of both decide, each in"
        " their own house, on the same page of terms. That page is named by its hash."
    ),
    "AGREEMENT_SIGNED": (
        "A day has passed in which somebody could object. Now River City signs, and names the vote"
        " that allows it. That is a promise nobody has accepted, and nobody can use it."
        " BrightWorks signs too. From this moment on it holds."
    ),
    "AGREEMENT_REPLICATED": (
        "Both keep a copy, and so does Finger Lakes, which brought them together. Three copies,"
        " on three machines, of three owners, and not a byte between them."
    ),
    "SURVIVES_FACILITATOR": (
        "What if the one in the middle is gone? We kill Finger Lakes' node, without warning. River"
        " City and BrightWorks do not notice: they read, they use, they lend the lathe for a"
        " night. River City even signs something new. When the dead node comes back, it knows."
    ),
    "EXCHANGE_RECORDED": (
        "BrightWorks comes by and mends for eight hours. That is forty credits. One side offers,"
        " the other accepts, the first one confirms, each with a signature. Then it stands in"
        " both books, as a gain here and as a debt there, and nobody had to hold the pen for both."
    ),
    "IMBALANCE_REFUSED": (
        "They agreed never to be more than a hundred apart. So let us try for one credit too"
        " many, first from one side, then from the other. Both homes know the limit, and neither"
        " writes it down."
    ),
    "TAMPERED_AGREEMENT_REFUSED": (
        "Perhaps the limit can be helped. In a copy somebody adds a nought, and hands it in at all"
        " three nodes. The page has another hash now, so it is another page. Given that new name,"
        " nobody has signed it."
    ),
    "UNILATERAL_CHANGE_REFUSED": (
        "River City wanted two hundred, voted for it, and signed it. That was the thing signed"
        " while a node was dead. It is genuine, and worth nothing, because the other side has not"
        " signed. What both signed stays as it is."
    ),
    "PERIOD_SETTLED": (
        "The month is over. What is left between them is settled, in both books at once, and both"
        " stand at zero. Could it be done twice? Each of them tries. It was this month, and this"
        " month is settled."
    ),
}
"""By marker. Read aloud, each takes between ten and twenty-five seconds."""
