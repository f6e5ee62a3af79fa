"""What a run is: bounds, and how it is written on a command line."""

from __future__ import annotations

import pytest

from devnet.sim.spec import (
    LIES,
    Latency,
    Partition,
    Spec,
    latency_of,
    liars_of,
    partition_of,
    sizes_of,
)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"nodes": 1}, "nodes is 1; it may be 2 to"),
        ({"seconds": 0}, "seconds is 0"),
        ({"settle_s": 0}, "settle_s is 0"),
        ({"loss": 0.91}, "loss is 0.91"),
        ({"churn": -0.1}, "churn is -0.1"),
        ({"sybils": 201}, "sybils is 201"),
        ({"skew_ms": 60_001}, "skew_ms is 60001"),
        ({"liars": (("wrong", 0.3), ("old", 0.3))}, "the share of liars is 0.6"),
        ({"partition": Partition(share=0.3, from_s=5, until_s=31)}, "the partition's end is 31"),
        ({"partition": Partition(share=0.3, from_s=9, until_s=5)}, "the partition's start is 9"),
    ],
)
def test_what_is_out_of_bounds_is_no_run(wrong, said) -> None:
    with pytest.raises(ValueError, match=said):
        Spec(**wrong)


def test_what_a_command_line_says_is_read_and_spelled_the_same() -> None:
    assert latency_of("uniform:25") == Latency(kind="uniform", typical_ms=25)
    assert str(latency_of("constant:5")) == "constant:5"
    assert partition_of("0.3@10-20") == Partition(share=0.3, from_s=10, until_s=20)
    assert str(partition_of(".25@1-2")) == "0.25@1-2"
    assert liars_of("wrong:0.05,forged:0.02") == (("forged", 0.02), ("wrong", 0.05))
    assert liars_of("") == ()
    assert sizes_of("10,100,1000") == (10, 100, 1_000)


@pytest.mark.parametrize("text", ["40", "normal:40", "constant:-1", "uniform:1.5"])
def test_what_is_no_latency_is_refused_with_what_is(text) -> None:
    with pytest.raises(ValueError, match="write constant:40"):
        latency_of(text)


@pytest.mark.parametrize("text", ["0.3", "0.3@5", "1.5@1-2", "half@1-2"])
def test_what_is_no_partition_is_refused_with_what_is(text) -> None:
    with pytest.raises(ValueError, match=r"such as 0\.3@10-20"):
        partition_of(text)


@pytest.mark.parametrize("text", ["wrong", "wrong:1", "nice:0.1"])
def test_what_is_no_lie_is_refused_with_all_that_are(text) -> None:
    with pytest.raises(ValueError, match=", ".join(LIES)):
        liars_of(text)


@pytest.mark.parametrize("text", ["", "ten", "10,", "10;20", ",".join(["9"] * 13)])
def test_what_are_no_sizes_is_refused_with_what_are(text) -> None:
    with pytest.raises(ValueError, match="write 10,100,1000"):
        sizes_of(text)


def test_a_network_of_one_or_of_too_many_is_no_size() -> None:
    for text in ("1", "10,5001"):
        with pytest.raises(ValueError, match="it may be 2 to 5000"):
            sizes_of(text)


def test_a_run_is_told_as_json() -> None:
    said = Spec(partition=partition_of("0.3@10-20"), liars=liars_of("old:0.1")).as_json()
    assert said["partition"] == "0.3@10-20"
    assert said["liars"] == {"old": 0.1}
    assert said["latency"] == "lognormal:40"
    assert Spec().as_json()["partition"] is None
