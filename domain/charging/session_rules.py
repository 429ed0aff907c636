"""What an observation means for a charge session: whose it is, when it happened, how much energy it says (domain.md §5).

Pure: facts in, decisions out. The machine doors read the facts and write what was decided.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from domain.roles import SessionFlag

OFFLINE_TOLERANCE = timedelta(seconds=5)
"""An event this much older than the connection it came over still counts as live."""

CLOCK_TOLERANCE = timedelta(seconds=60)
FUTURE_TOLERANCE = timedelta(minutes=5)
EARLIEST_PLAUSIBLE = datetime(2020, 1, 1, tzinfo=UTC)
END_HOLD = timedelta(minutes=15)
"""How long a signal that a charge is over waits for the final record, which may be queued behind it."""

LATE_SAMPLES_FOR = timedelta(hours=24)

RATING_SLACK = 1.1
"""Meters and voltages are allowed ten percent above the rating."""

RATING_SLACK_TIME = timedelta(seconds=90)
"""Start and stop are stamped in whole seconds and after the contactor; short charges must not lose energy to it."""

LONGEST_CHARGE = timedelta(days=62)
"""Beyond it a duration by the charger's clock is no duration: the clock was set meanwhile."""

MOST_PLAUSIBLE_WH = 2_000_000
"""No car takes 2 MWh in one charge: a register beyond it is broken (4 GWh readings exist)."""

CHARGING_ABOVE_A = 0.5
"""Below this a car is connected but not charging; its electronics draw less."""


class Moment(msgspec.Struct, frozen=True, gc=False):
    """When something happened, as far as can be known. `device_at` is what the charger's clock said, None where it said nothing."""

    at: datetime
    device_at: datetime | None
    is_reliable: bool
    is_offline: bool

    @property
    def flags(self) -> SessionFlag:
        """What this moment adds to its session."""
        flags = SessionFlag(0)
        if self.is_offline:
            flags |= SessionFlag.OFFLINE
        if not self.is_reliable:
            flags |= SessionFlag.CLOCK_UNRELIABLE
        return flags


@dataclass(frozen=True, slots=True)
class Hearing:
    """How the message reached us: over a connection open since `connected_at`; `offset` is received - charger's clock, None unknown.

    `is_clock_set`: the charger has told a time over it that a clock has which was set at all. `before`: the offset that an earlier
    connection had found, by which it wrote what it kept, None where nothing was wrong.
    """

    connected_at: datetime
    offset: timedelta | None = None
    is_clock_set: bool = False
    before: timedelta | None = None


def moment_of(
    charger_time: datetime | None, received_at: datetime, hearing: Hearing, *, is_marked_offline: bool = False
) -> Moment:
    """The moment of an event. A time that cannot be right gives way to the time of receipt, and is not reliable.

    A message without any time is taken as of its receipt, without blame where it came live.
    """
    if charger_time is None:
        return Moment(received_at, None, is_reliable=not is_marked_offline, is_offline=is_marked_offline)
    offset = hearing.offset or timedelta()
    corrected = charger_time + offset
    if corrected < EARLIEST_PLAUSIBLE:
        # A clock that is set by now was not yet when this happened: it has waited.
        return Moment(
            received_at, charger_time, is_reliable=False, is_offline=is_marked_offline or hearing.is_clock_set
        )
    if hearing.before is not None and abs(hearing.before - offset) > CLOCK_TOLERANCE:
        written = charger_time + hearing.before
        is_later = corrected >= hearing.connected_at - OFFLINE_TOLERANCE and corrected <= received_at + CLOCK_TOLERANCE
        if not is_later and EARLIEST_PLAUSIBLE < written < hearing.connected_at - OFFLINE_TOLERANCE:
            # The clock was set since; what is older than this connection was written by the wrong one.
            return Moment(written, charger_time, is_reliable=False, is_offline=True)
    if corrected > received_at + FUTURE_TOLERANCE:
        return Moment(received_at, charger_time, is_reliable=False, is_offline=is_marked_offline)
    is_offline = is_marked_offline or corrected < hearing.connected_at - OFFLINE_TOLERANCE
    # A clock a few seconds ahead would put events into the future of everything that reads them.
    return Moment(
        min(corrected, received_at), charger_time, is_reliable=abs(offset) <= CLOCK_TOLERANCE, is_offline=is_offline
    )


def was_heard_live(device_started_at: datetime | None, created_at: datetime, hearing: Hearing) -> bool:
    """Whether a session that seemed older than the connection over which its start came was not, as the clock is known by now."""
    if device_started_at is None or hearing.offset is None or created_at < hearing.connected_at:
        return False
    return device_started_at + hearing.offset >= hearing.connected_at - OFFLINE_TOLERANCE


def start_key(evse: int, id_token: str | None, charger_time: datetime | None, meter_start_wh: int | None) -> str:
    """The natural key of a start within its station: a retry has another message id and the same key."""
    return "|".join((str(evse), (id_token or "").upper(), _stamp(charger_time), str(meter_start_wh)))[:200]


def stop_key(transaction_id: str | None, charger_time: datetime | None, meter_stop_wh: int | None) -> str:
    """The natural key of a final record whose transaction is not ours, within its station."""
    return "|".join((transaction_id or "", _stamp(charger_time), str(meter_stop_wh)))[:200]


def _stamp(instant: datetime | None) -> str:
    return "" if instant is None else instant.astimezone(UTC).isoformat()


@dataclass(frozen=True, slots=True)
class OpenSession:
    """An open session as a final record without a usable transaction id sees it."""

    session_id: UUID
    evse: int
    id_token: str | None
    started_at: datetime
    meter_start_wh: int | None


def session_that_ends(
    candidates: Iterable[OpenSession],
    ended: Moment,
    *,
    evse: int | None,
    id_token: str | None,
    meter_stop_wh: int | None,
) -> UUID | None:
    """Which open session a final record with transaction id 0, -1 or unknown belongs to; None: to one whose start we never saw.

    Newest first where several fit; the same card decides between connectors when the message does not name one.
    """
    fitting = [
        one
        for one in candidates
        if (evse is None or one.evse == evse)
        and (not ended.is_reliable or one.started_at <= ended.at + CLOCK_TOLERANCE)
        and (meter_stop_wh is None or one.meter_start_wh is None or one.meter_start_wh <= meter_stop_wh)
    ]
    same_card = [one for one in fitting if id_token and (one.id_token or "").upper() == id_token.upper()]
    if same_card:
        return max(same_card, key=lambda one: one.started_at).session_id
    if evse is None and len({one.evse for one in fitting}) > 1:
        return None
    return max(fitting, key=lambda one: one.started_at).session_id if fitting else None


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample as energy and charging time see it; `current_a` is the largest of its conductors, None where not measured."""

    at: datetime
    register_wh: int | None
    current_a: float | None = None


@dataclass(frozen=True, slots=True)
class Energy:
    """What a session took; None is unknown. Not measured from start to stop: estimated."""

    wh: int | None
    is_estimated: bool


def most_possible_wh(rating_w: float, duration: timedelta) -> int:
    """What the charger could have delivered in that time, with slack."""
    return int(rating_w * RATING_SLACK * (duration + RATING_SLACK_TIME).total_seconds() / 3600)


def session_energy(
    *, meter_start_wh: int | None, meter_stop_wh: int | None, registers: Sequence[int], limit_wh: int | None
) -> Energy:
    """Stop - start where plausible, else the rise of the samples' registers, else unknown; never negative, never above the limit.

    `registers` are those of the samples in order of time. Falls of a register (a reset, a replaced meter) count as nothing. No limit
    where the duration cannot be trusted.
    """
    limit = MOST_PLAUSIBLE_WH if limit_wh is None else min(limit_wh, MOST_PLAUSIBLE_WH)
    if meter_start_wh is not None and meter_stop_wh is not None and 0 <= meter_stop_wh - meter_start_wh <= limit:
        return Energy(meter_stop_wh - meter_start_wh, is_estimated=False)
    if len(registers) > 1:
        rise = sum(max(0, after - before) for before, after in itertools.pairwise(registers))
        if rise <= limit:
            return Energy(rise, is_estimated=True)
    return Energy(None, is_estimated=True)


def charging_time(readings: Sequence[Reading]) -> timedelta:
    """How long energy flowed: the sum of the spans that end in a reading with current, or across which the register rose.

    A current, where it is measured, decides alone; `readings` are in order of time.
    """
    total = timedelta()
    for before, after in itertools.pairwise(readings):
        if is_charging(before, after):
            total += after.at - before.at
    return total


def is_charging(before: Reading, after: Reading) -> bool:
    """Whether energy flowed in the span between two readings."""
    if after.current_a is not None:
        return after.current_a > CHARGING_ABOVE_A
    if before.register_wh is None or after.register_wh is None:
        return False
    return after.register_wh > before.register_wh


@dataclass(frozen=True, slots=True)
class Dates:
    """A session's first and last instant, and whether they had to be derived."""

    started_at: datetime
    ended_at: datetime
    is_reliable: bool


def dates_of(started_at: datetime, device_started_at: datetime | None, start_reliable: bool, ended: Moment) -> Dates:
    """The dates of a session that ends: as reported where both clocks are right, else derived from receipt and duration.

    A session with a broken clock that was delivered at once ends when its end was received, and keeps its duration by the charger's own
    clock; never a session that ends before it starts, never 1970.
    """
    if start_reliable and ended.is_reliable:
        if ended.at >= started_at:
            return Dates(started_at, ended.at, is_reliable=True)
        return Dates(started_at, started_at, is_reliable=False)
    # Both stamped by the same wrong clock: the difference is right though neither end is. Of a clock that was set between them one end is
    # right, and the difference says nothing.
    if device_started_at is not None and ended.device_at is not None:
        duration = ended.device_at - device_started_at
        are_wrong = _is_off(device_started_at, started_at) and _is_off(ended.device_at, ended.at)
        if are_wrong and timedelta() <= duration <= LONGEST_CHARGE:
            return Dates(ended.at - duration, ended.at, is_reliable=False)
    return Dates(min(started_at, ended.at), ended.at, is_reliable=False)


def _is_off(device_at: datetime, at: datetime) -> bool:
    return abs(device_at - at) > CLOCK_TOLERANCE
