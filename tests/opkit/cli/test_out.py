"""What is printed for people."""

from __future__ import annotations

from opkit.cli import out


def test_a_table_without_rows_says_so_instead_of_showing_headings(capsys) -> None:
    out.table(out.console(), ("name", "holder"), [], none="nobody holds a name")
    assert capsys.readouterr().out == "nobody holds a name\n"


def test_a_table_with_rows_shows_them_under_their_headings(capsys) -> None:
    out.table(out.console(), ("name", "holder"), [("lathe", "mara")], none="nobody holds a name")
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines() if "a" in line] == [
        ["name", "holder"],
        ["lathe", "mara"],
    ]
