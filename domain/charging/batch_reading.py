"""A batch is read: what its reports concern, at once, and each kind of thing only where a report asks for it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from domain import sql
from domain.alerting import faults
from domain.authorization import attempts
from domain.authorization.credentials import credentials_for
from domain.authorization.decision import (
    SERVES_FOR,
    normalised_card_number,
)
from domain.charging import awaited_commands, corrections, live, session_store
from domain.charging.batch import Batch, StationState
from domain.charging.reports import WITH_TOKEN, Report
from domain.charging.session_rules import (
    CLOCK_TOLERANCE,
    Moment,
    moment_of,
    start_key,
    stop_key,
)
from domain.charging.session_store import SessionRecord
from domain.identification import card_enrollments
from domain.observations import (
    AnyObservation,
    Booted,
    FaultReported,
    FirmwareReported,
    Metered,
    SessionClaimed,
    SessionEnded,
    SessionStarted,
    StatusReported,
    TokenPresented,
)
from domain.roles import ExternalMode

NO_OFFSET = timedelta()


async def load(reports: Sequence[Report], *, now: datetime) -> Batch:
    """What these reports concern, with the chargers' states locked."""
    station_ids = sorted({one.station_id for one in reports})
    has_starts = any(_takes_our_id(one.observation) for one in reports)
    batch = await load_stations(station_ids, now=now, locked=has_starts)
    await _load_sessions(batch, reports, station_ids)
    await _load_surroundings(batch, reports)
    return batch


_STATIONS = "SELECT id, epoch, last_transaction_id, restarts, restarts_since FROM stations WHERE "


async def load_stations(station_ids: Sequence[UUID], *, now: datetime, locked: bool = False) -> Batch:
    """These stations, their chargers and the sessions that go on there; `locked`: transaction ids may be given."""
    batch = Batch(now)
    # The chargers come first: their lock makes what is read afterwards the newest.
    for connector in await live.of_stations(station_ids):
        if connector.place.station_id is not None:
            batch.place(connector.place.station_id, connector)
    for connectors in batch.connectors.values():
        connectors.sort(key=lambda one: one.place.evse)
    arguments: list[object] = []
    condition = sql.any_of("id", live.padded(station_ids), arguments)
    lock = sql.for_update() if locked else ""
    statement = f"{_STATIONS}{condition} ORDER BY id{lock}"
    for row in await sql.rows(statement, *arguments):
        station_id = sql.uuid_of(row["id"])
        batch.stations[station_id] = StationState(
            station_id,
            int(row["epoch"]),
            int(row["last_transaction_id"]),
            restarts=int(row["restarts"] or 0),
            restarts_since=sql.optional_instant_of(row["restarts_since"]),
        )
    for session in await session_store.open_of_stations(station_ids):
        batch.keep(session)
    return batch


async def _load_sessions(batch: Batch, reports: Sequence[Report], station_ids: Sequence[UUID]) -> None:
    wanted: dict[str, list[str]] = {"transaction_id": [], "start_key": [], "stop_key": []}
    for one in reports:
        for name, key in _keys_of(one.observation):
            if key and batch.by_key(one.station_id, name, key) is None:
                wanted[name].append(key)
    for name, keys in wanted.items():
        for session in await session_store.by_keys(name, station_ids, keys):
            if session.id not in batch.sessions:
                batch.keep(session)
    await _load_later_readings(batch, reports)
    starting = sorted({one.station_id for one in reports if _takes_our_id(one.observation)})
    for session in await session_store.without_start(starting, since=batch.now - timedelta(days=62)):
        if session.id not in batch.sessions:
            batch.keep(session)


async def _load_later_readings(batch: Batch, reports: Sequence[Report]) -> None:
    """What is known of sessions that are told something old: it came out of order, or late, or a clock was put back."""
    told = [
        (one, one.observation, session)
        for one in reports
        if isinstance(one.observation, Metered)
        if (session := batch.by_key(one.station_id, "transaction_id", one.observation.transaction_id)) is not None
    ]
    batch.keep_ends(await corrections.ends_arrived({session.id for _, _, session in told if not session.is_open}))
    doubtful = {session.id for one, said, session in told if session.is_open and _is_old(one, said, session)}
    asked = [
        (session, _moment(one, said, sample.at or said.charger_time).at)
        for one, said, session in told
        if session.id in doubtful
        for sample in said.samples
        if sample.register_wh is not None
    ]
    batch.keep_lowest_later(await session_store.lowest_after(asked, by=CLOCK_TOLERANCE))


def _is_old(report: Report, said: Metered, session: SessionRecord) -> bool:
    """Whether they are older than what is known of the session, by what the charger's clock says."""
    if said.charger_time is None or session.last_event_at is None:
        return False
    return said.charger_time + (report.hearing.offset or NO_OFFSET) < session.last_event_at - CLOCK_TOLERANCE


def _takes_our_id(observation: AnyObservation) -> bool:
    return isinstance(observation, SessionStarted) and observation.transaction_id is None


def _keys_of(observation: AnyObservation) -> tuple[tuple[str, str | None], ...]:
    match observation:
        case SessionStarted():
            if observation.transaction_id is not None:
                return (("transaction_id", observation.transaction_id),)
            key = start_key(
                observation.evse, observation.id_token, observation.charger_time, observation.meter_start_wh
            )
            return (("start_key", key),)
        case Metered() | SessionClaimed() | StatusReported():
            return (("transaction_id", observation.transaction_id),)
        case SessionEnded():
            key = stop_key(observation.transaction_id, observation.charger_time, observation.meter_stop_wh)
            return (("transaction_id", observation.transaction_id), ("stop_key", key))
    return ()


_MOVING = SessionStarted | SessionClaimed | SessionEnded | Booted | FirmwareReported


def _tokens_of(observation: AnyObservation) -> tuple[str | None, ...]:
    """The token that is decided about, if there is a decision; None is a start without one."""
    match observation:
        case SessionStarted() | SessionClaimed() | TokenPresented():
            return (observation.id_token,)
        case SessionEnded(is_own_id=True, id_token=str()):
            return (observation.id_token,)
    return ()


async def _load_surroundings(batch: Batch, reports: Sequence[Report]) -> None:
    """Credentials, awaited commands and open alerts, each only where a report asks for them."""
    observations = [one.observation for one in reports]
    tokens = [token for one in observations for token in _tokens_of(one)]
    if tokens:
        await _load_credentials(batch, reports, tokens)
    moving = [one.station_id for one in reports if isinstance(one.observation, _MOVING)]
    batch.commands = await awaited_commands.open_commands(_chargers(batch, moving))
    reporting = [one.station_id for one in reports if isinstance(one.observation, StatusReported | FaultReported)]
    batch.alerts = await faults.open_alerts(_chargers(batch, reporting))


async def _load_credentials(batch: Batch, reports: Sequence[Report], tokens: Sequence[str | None]) -> None:
    # A card that was waited for is its person's before it is decided about.
    batch.events += await card_enrollments.enroll(_shown_now(reports), now=batch.now)
    are_asked = any(one.place.external_mode is not ExternalMode.OFF for one in batch.all_connectors())
    batch.credentials = await credentials_for(tokens, now=batch.now, are_asked=are_asked)
    presenting = [one.station_id for one in reports if isinstance(one.observation, WITH_TOKEN)]
    numbers = sorted({normalised_card_number(token) for token in tokens if token})
    known = await attempts.recent(sorted(set(presenting)), numbers, since=batch.now - SERVES_FOR)
    batch.attempts = known[::-1]


def _shown_now(reports: Sequence[Report]) -> Iterable[card_enrollments.Shown]:
    """The cards that are in front of a reader at this moment: not those of charges that are told of afterwards."""
    for one in reports:
        match one.observation:
            case TokenPresented(id_token=token):
                yield card_enrollments.Shown(one.station_id, normalised_card_number(token))
            case (SessionStarted(id_token=token) | SessionClaimed(id_token=token)) as said if (
                token and not _is_replayed(one, said)
            ):
                yield card_enrollments.Shown(one.station_id, normalised_card_number(token))


def _is_replayed(report: Report, said: SessionStarted | SessionClaimed) -> bool:
    return _moment(report, said, said.charger_time).is_offline


def _moment(report: Report, said: SessionStarted | SessionClaimed | Metered, at: datetime | None) -> Moment:
    return moment_of(at, said.received_at, report.hearing, is_marked_offline=said.is_marked_offline)


def _chargers(batch: Batch, station_ids: Sequence[UUID]) -> list[UUID]:
    return [one.place.charger_id for station in set(station_ids) for one in batch.connectors.get(station, [])]
