"""A node in a process of its own ends as one that its operator starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from devnet import node_job
from devnet.layout import last_words
from nodeimpl.__main__ import EXIT_USAGE


def test_a_node_that_is_misconfigured_says_so_in_one_line_and_ends_with_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("version = 9\n", "utf-8")
    assert node_job.run("nodeimpl.__main__", str(config)) == EXIT_USAGE == 2
    said = capfd.readouterr().err
    assert len(said.splitlines()) == 1, said
    log = tmp_path / "node.log"
    log.write_text(said, "utf-8")
    why, hint = last_words(log)
    assert why.startswith(f"{config}: version: 9 is newer")
    assert hint


def test_what_nobody_expected_keeps_its_trace(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("version = 1\n", "utf-8")
    with pytest.raises(ModuleNotFoundError):
        node_job.run("nodeimpl.not_there", str(config))
