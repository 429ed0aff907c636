"""Who comes and goes, told from connections' beginnings and ends."""

from datetime import timedelta
from uuid import uuid4

import pytest

from domain.equipment.presence import Presences
from tests.domain.rig import at

WINDOW = timedelta(minutes=15)
STATION = uuid4()


def flapping(here_s: float, gone_s: float, *, minutes: float) -> Presences:
    """A station that was steady and then flaps for so long."""
    presences, second = Presences(WINDOW), 0.0
    while second < minutes * 60:
        went, came = at(second / 60), at((second + gone_s) / 60)
        presences.note(STATION, is_here=False, came_at=None, went_at=went, now=went)
        presences.note(STATION, is_here=True, came_at=came, went_at=went, now=came)
        second += here_s + gone_s
    return presences


@pytest.mark.parametrize(
    ("here_s", "gone_s", "is_unsteady"), [(10, 10, False), (9, 10, True), (10, 9, False), (1, 60, True), (1, 6, True)]
)
def test_less_than_half_of_the_time_is_unsteady(here_s: float, gone_s: float, is_unsteady: bool) -> None:
    """Exactly half is not; to the second, however short the stays are."""
    presences = flapping(here_s, gone_s, minutes=30)
    assert presences.is_unsteady(STATION, at(30)) is is_unsteady


def test_a_single_absence_is_silence_and_not_unsteady() -> None:
    """Gone for fourteen minutes and back: it did not come and go."""
    presences = Presences(WINDOW)
    presences.note(STATION, is_here=True, came_at=at(14), went_at=at(0), now=at(14))
    assert presences.here_for(STATION, at(15)) == timedelta(minutes=1)
    assert not presences.is_unsteady(STATION, at(15))


def test_who_stays_is_steady_again() -> None:
    """Seven and a half minutes after it has come to stay."""
    presences = flapping(1, 60, minutes=30)
    assert presences.is_unsteady(STATION, at(36))
    assert not presences.is_unsteady(STATION, at(39))


def test_what_was_not_seen_counts_as_here() -> None:
    """Nobody is blamed for the time before."""
    presences = Presences(WINDOW)
    assert presences.here_for(STATION, at(0)) == WINDOW
    presences.note(STATION, is_here=False, came_at=None, went_at=at(5), now=at(6))
    assert presences.here_for(STATION, at(6)) == timedelta(minutes=14)
    presences.keep_only(set())
    assert presences.here_for(STATION, at(6)) == WINDOW
