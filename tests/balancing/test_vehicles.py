"""Tests of what is learnt about a car from its draw."""

from balancing.circuit import Line
from balancing.vehicles import NOTHING_KNOWN, CarEvidence, Measured, judged, learnt, lines_used

RST = (Line.L1, Line.L2, Line.L3)
STR = (Line.L2, Line.L3, Line.L1)


def after(samples: list[tuple[float, Measured]], wiring: tuple[Line, ...] = RST) -> CarEvidence:
    """The evidence after these samples."""
    evidence = NOTHING_KNOWN
    for at_s, measured in samples:
        evidence = learnt(evidence, measured=measured, wiring=wiring, at_s=at_s)
    return evidence


def test_one_phase_is_believed_after_thirty_seconds() -> None:
    """A draw on terminal 1 alone for 30 s makes a one-phase car, and not a second earlier."""
    assert after([(1.0, (10.0, 0.0, 0.1)), (30.9, (10.0, 0.0, 0.0))]).phases is None
    assert after([(1.0, (10.0, 0.0, 0.1)), (31.0, (10.0, 0.0, 0.0))]).phases == 1


def test_terminals_follow_the_rotation() -> None:
    """On a charger wired STR, a car on L2 uses terminal 1, and a car on L1 proves nothing."""
    assert lines_used((0.0, 8.0, 0.0), STR) == 1
    assert lines_used((8.0, 0.0, 0.0), STR) is None


def test_converters_that_share_a_line_are_not_known_as_three_phase() -> None:
    """√3 of the others on one line: the car stays unknown, and so counts for what it does."""
    assert after([(1.0, (10.4, 6.0, 6.0)), (40.0, (10.4, 6.0, 6.0))]).phases is None
    assert after([(1.0, (6.4, 6.0, 6.1)), (40.0, (6.4, 6.0, 6.1))]).phases == 3


def test_a_missing_line_proves_nothing() -> None:
    """Fewer lines are never assumed without a measurement of each."""
    assert after([(1.0, (10.0, None, None)), (60.0, (10.0, None, None))]).phases is None


def test_a_silence_between_samples_proves_nothing() -> None:
    """Two samples two minutes apart do not show what happened between them."""
    assert after([(1.0, (10.0, 0.0, 0.0)), (121.0, (10.0, 0.0, 0.0))]).phases is None


def test_draw_on_an_unbooked_line_ends_the_belief() -> None:
    """A car that was taken for one-phase counts as unknown as soon as another line carries current."""
    believed = after([(1.0, (10.0, 0.0, 0.0)), (40.0, (10.0, 0.0, 0.0))])
    assert learnt(believed, measured=(10.0, 0.6, 0.0), wiring=RST, at_s=45.0).phases is None


def test_a_pause_keeps_the_belief() -> None:
    """A car that draws nothing for a while is still the same car."""
    believed = after([(1.0, (10.0, 0.0, 0.0)), (40.0, (10.0, 0.0, 0.0))])
    assert learnt(believed, measured=(0.0, 0.0, 0.0), wiring=RST, at_s=45.0).phases == 1


def test_a_car_that_draws_too_much_for_ten_seconds_counts_as_three_phase() -> None:
    """More than 1 A above its offer, twice, ten seconds apart: nothing is believed of it until it is unplugged."""
    believed = after([(1.0, (10.0, 0.0, 0.0)), (40.0, (10.0, 0.0, 0.0))])
    once = judged(believed, beyond_a=2.0, at_s=50.0)
    assert once.phases == 1
    assert judged(judged(once, beyond_a=1.0, at_s=55.0), beyond_a=2.0, at_s=60.0).phases == 1
    twice = judged(once, beyond_a=2.0, at_s=60.0)
    assert (twice.phases, twice.is_disobedient) == (None, True)
    for at_s in (70.0, 110.0):
        twice = learnt(twice, measured=(10.0, 0.0, 0.0), wiring=RST, at_s=at_s)
    assert twice.phases is None
