"""What stands in a node's circle: two letters of its title, other ones for every node.

On a phone's map of many nodes there is room for nothing else, so that they must tell nodes apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count


def initials_of(title: str) -> str:
    """Return two letters for the inside of a circle: `RC` of River City Tool Library."""
    words = [word for word in title.split() if word[:1].isalnum()]
    capitals = [letter for letter in words[0] if letter.isupper()] if words else []
    if len(words) == 1 or len(capitals) > 1:
        return ("".join(capitals) if len(capitals) > 1 else title)[:2].upper()
    return "".join(word[0] for word in words[:2]).upper()


def initials_among(titles: Sequence[str]) -> tuple[str, ...]:
    """Return the initials of each of several titles, no two alike; the same titles, the same ones.

    The first that would have some has them; the next takes other letters of its title, or a number.
    """
    usual = [initials_of(title) for title in titles]
    first = {initials: place for place, initials in reversed(list(enumerate(usual)))}
    taken = set(usual)
    found = []
    for place, title in enumerate(titles):
        if first[usual[place]] != place:
            other = next(each for each in _others(title) if each not in taken)
            taken.add(other)
            found.append(other)
        else:
            found.append(usual[place])
    return tuple(found)


def _others(title: str) -> Iterator[str]:
    """Yield what else could stand for a title, best first, without end."""
    words = [word for word in title.upper().split() if word[0].isalnum()]
    for word in words[1:]:
        yield words[0][0] + word[0]
    for letter in "".join(words)[1:]:
        if letter.isalnum():
            yield words[0][0] + letter
    yield from (str(number) for number in count(2))
