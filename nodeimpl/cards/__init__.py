"""Agent cards: published, updated and revoked by their agents, found by whoever asks.

What a card says is believed because its agent signed it, twice: the card, and the record that leads
to it. The node keeps, finds and checks; it vouches for nothing but its own card.
"""
