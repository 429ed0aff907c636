"""How long things take."""

from domain.durations import BOUNDS_S, Durations


def test_each_counts_in_the_first_bucket_that_holds_it() -> None:
    """A bound belongs to its own bucket, and what is longer than all of them is counted too."""
    durations = Durations()
    for seconds in (0.0, 0.001, 0.0011, 31.0):
        durations.note(seconds)
    assert durations.count == 4
    assert round(durations.total_s, 4) == 31.0021
    up_to = dict(durations.up_to())
    assert (up_to[0.001], up_to[0.0025], up_to[BOUNDS_S[-1]], up_to[float("inf")]) == (2, 3, 3, 4)
