"""Labels on a map's lines: none lies over another, over a node or over a name."""

from __future__ import annotations

from opkit.views.labels import Box, Place, Room, Size, between, flag_size, name_box, plain_size

LEFT, RIGHT = Place(0, 50), Place(100, 50)
FIELD = Size(20, 20)
SMALL = Size(2, 1)


def test_a_label_stands_where_it_would_if_nothing_is_in_its_way():
    assert Room(FIELD).find(LEFT, RIGHT, along=0.36, size=SMALL) == Place(36, 50)


def test_a_label_moves_along_its_line_out_of_the_way_of_what_came_before():
    room = Room(FIELD)
    first = room.find(LEFT, RIGHT, along=0.5, size=SMALL)
    second = room.find(LEFT, RIGHT, along=0.5, size=SMALL)

    assert first == Place(50, 50)
    assert second is not None
    assert second.y == 50
    assert abs(second.x - 50) / 100 * FIELD.width >= SMALL.width


def test_a_label_must_be_clear_on_every_field_that_the_map_is_drawn_on():
    """What is apart on a wide map may lie over each other on a narrow one."""
    taken = [Box(at=Place(50, 50), size=SMALL)]
    asked = Box(at=Place(58, 50), size=SMALL)

    assert Room(Size(40, 20), taken=taken).is_clear(asked)
    assert not Room(Size(40, 20), Size(10, 20), taken=taken).is_clear(asked)


def test_where_there_is_no_room_there_is_no_label():
    crowd = [Box(at=Place(50, 50), size=Size(20, 20))]

    assert Room(FIELD, taken=crowd).find(LEFT, RIGHT, along=0.5, size=SMALL) is None


def test_a_label_does_not_leave_its_line_for_a_node_at_its_end():
    room = Room(FIELD, taken=[Box(at=Place(50, 50), size=Size(10, 10))])
    found = room.find(LEFT, RIGHT, along=0.5, size=SMALL)

    assert found is None or 16 <= found.x <= 84


def test_a_name_takes_room_on_its_side_of_the_circle_alone():
    above = name_box(Place(50, 50), "River City Tool Library", circle_rem=4, above=True)
    room = Room(FIELD, taken=[above])

    assert not room.is_clear(Box(at=Place(50, 30), size=SMALL))
    assert room.is_clear(Box(at=Place(50, 70), size=SMALL))


def test_longer_words_take_more_room():
    assert plain_size("15 ms").width < plain_size("15 ms  551 B/s").width
    assert flag_size("a task").width < flag_size("1.8 kB verified").width
    assert flag_size("a task", small=True).width < flag_size("a task").width
    assert between(LEFT, RIGHT, 0.25) == Place(25, 50)
