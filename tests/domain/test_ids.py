"""Identities rise in the order of their making."""

import time

import pytest

from domain.ids import new_id

MANY = 10_000


def test_ids_rise_within_one_millisecond() -> None:
    """Rows of one instant, ordered by id, come in the order of their making."""
    made = [new_id() for _ in range(MANY)]
    assert made == sorted(set(made))


def test_ids_rise_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose clock is corrected keeps its order."""
    before = new_id()
    earlier = time.time_ns() - 3_600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: earlier)
    assert before < new_id() < new_id()


def test_an_id_is_a_uuid_of_version_7_that_tells_its_millisecond() -> None:
    """RFC 9562 §5.7."""
    before = time.time_ns() // 1_000_000
    one = new_id()
    assert (one.version, one.variant) == (7, "specified in RFC 4122")
    assert before <= one.int >> 80
