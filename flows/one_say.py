"""What a presenter says beside the steps of flow 1: for the ear, as sentences are for the eye."""

from __future__ import annotations

from typing import Final

SAY: Final[dict[str, str]] = {
    "PROPOSAL_OPENED": (
        "Harbor Homes has forty-eight thousand dollars put by, and a roof that leaks. Rosa chairs"
        " the cooperative, and even she cannot simply pay. She writes down what she wants: how"
        " much, from where, to whom. She signs it, and the five who may decide are fixed from now"
        " on."
    ),
    "VOTES_CAST": (
        "Four of the five vote, each with their own key. Kofi is against. Each of them gets a"
        " receipt from the node: a signed word that this vote was taken. Keep those in mind, they"
        " will matter."
    ),
    "DOUBLE_VOTE_REFUSED": (
        "Kofi may change his mind as long as the vote is open, by a new ballot with a higher"
        " number. What he cannot do is say no and yes under the same number. The node keeps the"
        " first and tells him so."
    ),
    "OUTSIDER_REFUSED": (
        "Mara is a member too, of another cooperative. She tries it at the front door, then has a"
        " neighbour carry her ballot in: in her own name, as if she lived here, and at last in"
        " Silas's name, who has not voted. None of the four is taken."
    ),
    "EARLY_CLOSE_REFUSED": (
        "The count looks good for Rosa, so why wait? Because the others were promised a week. The"
        " node does not end the vote before that, whoever asks."
    ),
    "VOTE_CLOSED": (
        "A week passes, in a second. Now the vote can be ended, and the node counts. Four of five"
        " took part, three of them in favour: enough of both. Nothing is paid yet. For one more"
        " day anybody may show a vote that was not counted."
    ),
    "OMITTED_VOTE_EXPOSED": (
        "So let us cheat. We take a copy of the decision and leave out Kofi's no. Anybody who"
        " counts again sees that it does not add up. And Kofi, with nothing but his receipt, can"
        " prove that his vote was taken and is missing. No node is asked for that."
    ),
    "DECISION_PROVED": (
        "Here is the real one. From the founding charter to the last vote, every signature is"
        " checked again in this room, every vote counted again. It comes to the same, so it does"
        " not matter whether you trust the node that counted."
    ),
    "HASTY_SPEND_REFUSED": (
        "Felix, the treasurer, is in a hurry and wants to pay now. The node says that the day is"
        " not over in which somebody may still object."
    ),
    "SPEND_EXECUTED": (
        "The day is over. Now twelve thousand dollars go to the roofer, thirty-six thousand stay,"
        " and the entry in the books names the decision that it rests on. That name is a hash:"
        " nobody can put another decision in its place."
    ),
    "UNDECIDED_SPEND_REFUSED": (
        "Felix keeps the books. May he pay a single dollar out of the reserve without asking? He"
        " tries, and may not. Rosa tries it with a proposal that nobody has voted on yet. She may"
        " not either."
    ),
    "REPLAYED_SPEND_REFUSED": (
        "And could they simply do it twice? The decision is real, the day is over, the vote was"
        " fair. But it was one decision, for one payment, and that has been made."
    ),
}
"""By marker. Read aloud, each takes between ten and twenty-five seconds."""
