from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.ocpp.v16.messages import ClearChargingProfile, CsChargingProfiles
from devices.simulator.car import Car, CarSpec
from devices.simulator.ledger import Ledger, OfferChange, SessionRecord
from devices.simulator.plan import Habits
from devices.simulator.profiles import Moment, Profiles
from devices.simulator.wiring import LINES, loaded_lines
from domain.roles import NetworkType, PhaseRotation

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("offered_a", "phases", "drawn"),
    [(5.9, 3, (0.0, 0.0, 0.0)), (6.0, 3, (6.0, 6.0, 6.0)), (32.0, 2, (16.0, 16.0, 0.0)), (10.0, 1, (10.0, 0.0, 0.0))],
)
def test_a_car_draws_what_is_offered_up_to_its_own_maximum(
    offered_a: float, phases: int, drawn: tuple[float, ...]
) -> None:
    """Below 6 A a car draws nothing, above its maximum the maximum, on its own terminals only."""
    car = Car(CarSpec(phases=phases, max_current_a=16.0))
    car.step(60.0, offered_a=offered_a)
    assert car.currents == drawn


def test_a_car_takes_more_slowly_and_less_at_once() -> None:
    """The draw rises with the ramp and falls with the offer."""
    car = Car(CarSpec(max_current_a=32.0, ramp_a_per_s=2.0))
    car.step(1.0, offered_a=32.0)
    car.step(1.0, offered_a=32.0)
    assert car.current_a == 10.0
    car.step(1.0, offered_a=7.0)
    assert car.current_a == 7.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(0.0, 40.0)), max_size=40), st.integers(1, 3))
def test_energy_is_current_times_voltage_times_time(steps: list[tuple[float, float]], phases: int) -> None:
    """A car's energy is Σ U·I·t over its terminals, and a full car draws nothing."""
    car = Car(CarSpec(phases=phases, energy_wanted_wh=200.0))
    expected = 0.0
    for dt_s, offered_a in steps:
        was_full = car.is_full
        car.step(dt_s, offered_a=offered_a)
        assert not (was_full and car.current_a)
        expected += sum(car.currents) * 230.0 * dt_s / 3600
    assert car.total_wh == pytest.approx(expected)


def profile(
    limit: float, *, identity: int = 1, level: int = 0, schedule: dict[str, Any] | None = None, **more: Any
) -> CsChargingProfiles:
    """A profile as it would come: relative by default, in ampere, 6 A after a minute."""
    periods = [{"startPeriod": 0, "limit": limit}, {"startPeriod": 60, "limit": 6.0}]
    values = {
        "chargingProfileId": identity,
        "stackLevel": level,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        **more,
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": periods, **(schedule or {})},
    }
    return msgspec.convert(values, CsChargingProfiles)


TX: dict[str, Any] = {"chargingProfilePurpose": "TxProfile"}
ABSOLUTE: dict[str, Any] = {"chargingProfileKind": "Absolute"}
DAILY: dict[str, Any] = {"chargingProfileKind": "Recurring", "recurrencyKind": "Daily"}
STARTED = "2026-03-01T11:59:30Z"
CASES: list[tuple[str, list[CsChargingProfiles], float | None, float]] = [
    ("none: the charger's maximum", [], 0.0, 32.0),
    ("default, from the start of the session", [profile(10.0)], 59.0, 10.0),
    ("its second period", [profile(10.0)], 60.0, 6.0),
    ("the session's before the default", [profile(10.0), profile(20.0, identity=2, **TX)], 0.0, 20.0),
    ("the higher level", [profile(10.0), profile(12.0, identity=2, level=1)], 0.0, 12.0),
    ("the same level replaces", [profile(10.0), profile(12.0, identity=2)], 0.0, 12.0),
    ("the same id replaces", [profile(10.0, level=3), profile(12.0)], 0.0, 12.0),
    ("the station's maximum caps", [profile(20.0), profile(8.0, identity=2, chargingProfilePurpose="ChargePointMaxProfile")], 0.0, 8.0),
    ("absolute: since its start", [profile(9.0, schedule={"startSchedule": STARTED}, **ABSOLUTE)], 500.0, 9.0),
    ("absolute: not yet", [profile(9.0, schedule={"startSchedule": "2026-03-01T12:00:01Z"}, **ABSOLUTE)], 0.0, 32.0),
    ("over after its duration", [profile(9.0, schedule={"duration": 30})], 30.0, 32.0),
    ("no longer valid", [profile(9.0, validTo="2026-03-01T11:00:00Z")], 0.0, 32.0),
    ("daily, from its time of day", [profile(9.0, schedule={"startSchedule": "2026-02-01T11:59:30Z"}, **DAILY)], 0.0, 9.0),
    ("in watt", [profile(6900.0, schedule={"chargingRateUnit": "W"})], 0.0, 10.0),
    ("never below zero", [profile(-5.0)], 0.0, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("installed", "lasted_s", "limit"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_profiles_make_one_limit(installed: list[CsChargingProfiles], lasted_s: float | None, limit: float) -> None:
    """The limit of each combination of profiles (OCPP 1.6 §3.13)."""
    profiles = Profiles()
    for item in installed:
        assert profiles.install(item, transaction_id=5)
    assert profiles.limit(Moment(NOW, lasted_s), most_a=32.0).current_a == pytest.approx(limit)


def test_a_session_profile_ends_with_its_session() -> None:
    """A TxProfile needs a session and is gone when it ends."""
    profiles = Profiles()
    assert not profiles.install(profile(10.0, **TX), transaction_id=None)
    assert profiles.install(profile(10.0, **TX), transaction_id=5)
    profiles.end_transaction()
    assert profiles.limit(Moment(NOW, 0.0), most_a=32.0).current_a == 32.0


def test_profiles_are_cleared_by_what_is_given() -> None:
    """ClearChargingProfile removes what matches, and says whether something did."""
    profiles = Profiles()
    profiles.install(profile(10.0), transaction_id=None)
    assert not profiles.clear(ClearChargingProfile(id=2))
    assert profiles.clear(ClearChargingProfile(charging_profile_purpose="TxDefaultProfile"))
    assert profiles.installed == {}


@pytest.mark.parametrize(
    ("rotation", "phases", "network", "lines"),
    [
        (PhaseRotation.RST, 1, NetworkType.TN_3_PHASE, (0,)),
        (PhaseRotation.STR, 1, NetworkType.TN_3_PHASE, (1,)),
        (PhaseRotation.TRS, 2, NetworkType.TN_3_PHASE, (2, 0)),
        (PhaseRotation.L3, 3, NetworkType.TN_1_PHASE, (2,)),
        (PhaseRotation.STR, 1, NetworkType.IT_3_PHASE, (1, 2)),
        (PhaseRotation.L3L1, 1, NetworkType.IT_1_PHASE, (2, 0)),
        (PhaseRotation.RST, 0, NetworkType.IT_3_PHASE, ()),
    ],
)
def test_rotation_says_which_lines_are_loaded(
    rotation: PhaseRotation, phases: int, network: NetworkType, lines: tuple[int, ...]
) -> None:
    """A car's terminals are grid lines by the charger's rotation; without a neutral one phase is two lines."""
    assert loaded_lines(rotation, phases=phases, network=network) == lines


def test_every_rotation_is_wired() -> None:
    """There is a row for every rotation, and none names a line twice."""
    assert set(LINES) == set(PhaseRotation)
    assert all(len(set(lines)) == len(lines) for lines in LINES.values())


def test_the_peak_is_of_one_instant_and_one_line() -> None:
    """The peak is the largest sum at any instant on any line, of the members alone."""
    ledger = Ledger()
    for change in (
        OfferChange(1.0, "a", (16_000, 0, 0), (16_000, 16_000, 16_000)),
        OfferChange(2.0, "b", (0, 10_000, 10_000), (10_000, 10_000, 10_000)),
        OfferChange(3.0, "a", (0, 0, 0), (0, 0, 0)),
        OfferChange(4.0, "b", (20_100, 0, 0), (20_100, 20_100, 20_100)),
    ):
        ledger.offer(change)
    assert ledger.peak_line_load() == 20.1
    assert ledger.peak_line_load({"a"}) == 16.0
    assert ledger.peak_line_load(wired=True) == 26.0
    assert ledger.peak_line_load(()) == 0.0
    assert list(ledger.line_loads())[1] == (2.0, (16.0, 10.0, 10.0))


def test_the_ledger_counts_what_was_answered_for() -> None:
    """Energy is by meter in whole Wh; sessions whose record was not answered count only when asked for."""
    ended: dict[str, Any] = {"register_stop_wh": 1500, "ended_at": NOW + timedelta(minutes=1)}
    common: dict[str, Any] = {"started_at": NOW, "register_start_wh": 1000, "phases": 3}
    ledger = Ledger(
        sessions=[
            SessionRecord(charger="a", id_tag="x", is_acknowledged=True, **common, **ended),
            SessionRecord(charger="b", id_tag="x", **common, **ended),
            SessionRecord(charger="a", id_tag="y", **common),
        ]
    )
    assert ledger.energy_wh() == 500
    assert ledger.energy_wh(acknowledged_only=False) == 1000
    assert ledger.energy_by(lambda s: s.charger, acknowledged_only=False) == {"a": 500, "b": 500}


def test_the_same_seed_brings_the_same_cars() -> None:
    """Visits are a function of the seed."""
    first, second, other = ([Habits().visit(random) for _ in range(20)] for random in (Random(1), Random(1), Random(2)))
    assert first == second != other
