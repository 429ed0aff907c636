import itertools

import pytest

from balancing.circuit import ChargerInput, ChargerState, Circuit, Fallback, Instance, Line
from balancing.failsafe import (
    NO_OFFER,
    CircuitKnowledge,
    MeterState,
    Offer,
    capacities,
    current_at,
    default_schedule,
    must_renew,
    offer_schedule,
    offline_reservation,
    other_load_of,
    plan_fallbacks,
    reservation,
)

L1, L2, L3 = Line
ALL = (L1, L2, L3)


def metered(**fields: object) -> CircuitKnowledge:
    base = {"id": "root", "parent": None, "fuse": (63.0, 63.0, 63.0), "is_metered": True, "age_s": 1.0}
    return CircuitKnowledge(**{"other_load": (10.0, 20.0, 0.0), **base, **fields})  # type: ignore[arg-type]  # a table


def available(*site: CircuitKnowledge, held: float = 0.0) -> dict[str, tuple[float, float, float]]:
    found = capacities(site, {knowledge.id: (held, held, held) for knowledge in site})
    return {name: capacity.available for name, capacity in found.items()}


def test_a_fresh_meter_leaves_the_rest_of_the_fuse() -> None:
    """Capacity is the fuse less what is not ours."""
    assert available(metered()) == {"root": (53.0, 43.0, 63.0)}


def test_the_filter_lowers_at_once_and_raises_late() -> None:
    """A lull in the last 60 s gives nothing beyond what is held already; a rise takes effect at once."""
    calm = metered(highest_60_s=(30.0, 20.0, 0.0))
    assert available(calm)["root"] == (33.0, 43.0, 63.0)
    assert available(calm, held=40.0)["root"] == (40.0, 43.0, 63.0)
    assert available(calm, held=60.0)["root"] == (53.0, 43.0, 63.0)


def test_a_stale_meter_counts_with_the_worst_of_fifteen_minutes() -> None:
    """Older than 15 s and three periods: per line the highest of 15 min."""
    stale = metered(age_s=16.0, highest_15_min=(25.0, 20.0, 5.0))
    assert available(stale)["root"] == (38.0, 43.0, 58.0)
    assert capacities([metered(age_s=15.0)], {})["root"].meter is MeterState.FRESH
    assert capacities([metered(age_s=29.0, period_s=10.0)], {})["root"].meter is MeterState.FRESH


@pytest.mark.parametrize(
    "lost",
    [
        metered(age_s=60.1, period_s=60.0, safe_current=(16.0, 10.0, 0.0)),
        metered(age_s=None, other_load=None, safe_current=(16.0, 10.0, 0.0)),
        metered(other_load=(float("nan"), 0.0, 0.0), safe_current=(16.0, 10.0, 0.0)),
        metered(other_load=(6300.0, 0.0, 0.0), safe_current=(16.0, 10.0, 0.0)),
    ],
    ids=["old", "never seen", "no number", "absurd"],
)
def test_a_lost_meter_leaves_the_safe_current(lost: CircuitKnowledge) -> None:
    """Without a usable reading only the safe current is given, 0 A by default."""
    assert available(lost)["root"] == (16.0, 10.0, 0.0)
    assert available(metered(age_s=61.0))["root"] == (0.0, 0.0, 0.0)


def test_without_a_meter_the_children_add_up() -> None:
    """A circuit without a meter counts what is assumed there and what flows to its children; export counts as 0."""
    root = CircuitKnowledge("root", None, (63.0, 63.0, 63.0), assumed_other_load=(5.0, 5.0, 5.0))
    child = metered(id="k", parent="root", fuse=(20.0, 20.0, 20.0), other_load=(4.0, -9.0, 0.0))
    assert available(child, root) == {"root": (54.0, 58.0, 58.0), "k": (16.0, 20.0, 20.0)}


def test_only_measured_draw_is_subtracted() -> None:
    """Other load is never negative, and a meter of whole amperes is rounded up."""
    assert other_load_of((20.2, 3.0, -4.0), (6.0, 5.0, 0.0)) == pytest.approx((14.2, 0.0, 0.0))
    assert other_load_of((20.2, 3.0, 0.0), (6.0, 0.0, 0.0), is_whole_ampere=True) == (15.0, 3.0, 0.0)


def test_an_offer_runs_out_by_itself() -> None:
    """The offer for 10 min, then at most the fallback, from 20 min the fallback; renewed every 200 s."""
    high, low = offer_schedule(16.0, 6.0), offer_schedule(4.0, 6.0)
    assert [current_at(high, age) for age in (0, 599, 600, 1199, 1200)] == [16.0, 16.0, 6.0, 6.0, 6.0]
    assert [current_at(low, age) for age in (0, 599, 600, 1199, 1200)] == [4.0, 4.0, 4.0, 4.0, 6.0]
    assert [current_at(default_schedule(6.0), age) for age in (0, 1199, 1200)] == [0.0, 0.0, 6.0]
    assert [must_renew(199.9), must_renew(200.0)] == [False, True]


def test_the_larger_of_offers_and_draw_is_reserved() -> None:
    """Per line: confirmed, every unconfirmed target, and what is measured, also on a line that is not booked."""
    held = reservation(
        Offer(10.0, ALL), [Offer(6.0, ALL), Offer(8.0, ALL)], (0.0, 11.0, 3.0), max_current=32.0, wiring=ALL
    )
    assert held.vector == (10.0, 11.0, 10.0)
    held = reservation(Offer(10.0, (L1,)), [Offer(8.0, (L2,))], (0.0, 0.0, 1.0), max_current=32.0, wiring=ALL)
    assert held.vector == (10.0, 8.0, 1.0)
    assert reservation(NO_OFFER, [], None, max_current=32.0, wiring=ALL).vector == (0.0, 0.0, 0.0)
    assert reservation(None, [], (40.0, 0.0, 0.0), max_current=32.0, wiring=(L2, L1)).vector == (40.0, 32.0, 0.0)


def test_offline_falls_to_the_fallback_after_twenty_minutes() -> None:
    """Until 2D the largest of offers and fallback on all wired lines, then the fallback, unless the model keeps none."""

    def held(since_s: float, fallback: float | None = 6.0, *, keeps: bool = True) -> float:
        back = None if fallback is None else Fallback(fallback, ALL)
        return offline_reservation(
            [Offer(16.0, (L1,)), NO_OFFER],
            None,
            fallback=back,
            max_current=32.0,
            wiring=ALL,
            since_last_sent_s=since_s,
            keeps_schedule=keeps,
        ).vector[1]

    assert [held(0.0), held(1199.0), held(1200.0)] == [16.0, 16.0, 6.0]
    assert [held(0.0, 20.0), held(5000.0, None), held(5000.0, keeps=False)] == [20.0, 32.0, 16.0]


def test_no_loss_of_chargers_passes_a_fuse() -> None:
    """Whichever chargers are lost, and at whatever moments their watchdogs run out, offers and fallbacks fit together."""
    chargers = tuple(ChargerInput(name, "root", ALL, fallback=Fallback(8.0, ALL)) for name in "abcd")
    site = Instance("s", (Circuit("root", None, (32.0, 32.0, 32.0), (0.0, 0.0, 0.0)),), chargers)
    fallbacks = plan_fallbacks(site)
    offers = dict(zip("abcd", (16.0, 10.0, 6.0, 0.0), strict=True))
    for ages in itertools.product((0.0, 599.0, 600.0, 1199.0, 1200.0), repeat=4):
        drawn = sum(
            current_at(offer_schedule(offers[name], min(fallbacks[name].current, offers[name])), age)
            for name, age in zip("abcd", ages, strict=True)
        )
        assert drawn <= 32.0
    assert sum(current_at(offer_schedule(offers[n], fallbacks[n].current), 1200.0) for n in "abcd") <= 32.0


def test_fallbacks_that_do_not_fit_are_nothing() -> None:
    """In order of priority, then id; one that is offline already keeps what it has."""
    root = Circuit("root", None, (25.0, 25.0, 25.0), (3.0, 0.0, -5.0))
    chargers = (
        ChargerInput("a", "root", ALL),
        ChargerInput("b", "root", ALL, priority=1),
        ChargerInput("c", "root", (L3,)),
        ChargerInput("o", "root", ALL, state=ChargerState.OFFLINE, fallback=Fallback(12.0, ALL)),
    )
    planned = plan_fallbacks(Instance("s", (root,), chargers))
    assert {name: fallback.current for name, fallback in planned.items()} == {"a": 0.0, "b": 6.0, "c": 6.0, "o": 12.0}
