"""The working set of one transaction of the machine doors: what a batch of reports concerns, read at once and written at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from domain import session_events, sql
from domain.alerting import faults, late_news
from domain.alerting.faults import OpenAlert
from domain.authorization import attempts
from domain.authorization.attempts import AttemptRecord, RequestRecord
from domain.authorization.credentials import credentials_for
from domain.authorization.decision import SERVES_FOR, Credentials, Opening, normalised_card_number
from domain.charging import corrections, live, session_store
from domain.charging.energy_intervals import Part, intervals
from domain.charging.live import Connector
from domain.charging.session_rules import (
    CLOCK_TOLERANCE,
    Hearing,
    Moment,
    Reading,
    charging_time,
    moment_of,
    most_possible_wh,
    session_energy,
    start_key,
    stop_key,
)
from domain.charging.session_store import SampleRow, SessionRecord
from domain.equipment import signed_records
from domain.equipment.ocpp_messages import Message
from domain.equipment.signed_records import SignedRow
from domain.events import AuthorizationAsked, CommandChanged, Event, SessionChanged
from domain.identification import card_enrollments
from domain.ids import new_id
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
from domain.roles import (
    AuthorizationDecision,
    CommandAction,
    CommandState,
    ExternalMode,
    SessionEventKind,
    SessionFlag,
    SessionState,
)


class Report(msgspec.Struct, frozen=True, gc=False):
    """An observation, which station made it, and over which of its connections it came."""

    station_id: UUID
    epoch: int
    hearing: Hearing
    observation: AnyObservation
    message: Message | None = None
    """That it was said in, kept with it; None where another report of the same message has it."""


@dataclass(frozen=True, slots=True)
class Question:
    """An external system is to be asked; `is_shadow`: only to compare, nobody waits for the answer."""

    request_id: UUID
    installation_id: UUID
    expires_at: datetime
    is_shadow: bool = False
    is_new: bool = False
    """Whether it was just written, by who is to call the system about it; else another has it in hand."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What the charger is to be told. `refusal` says why nothing was stored; otherwise everything is durable.

    With a `question` that is no shadow, `decision` holds until it is answered: a start goes on, a card waits.
    """

    transaction_id: str | None = None
    decision: AuthorizationDecision = AuthorizationDecision.ACCEPTED
    refusal: str | None = None
    question: Question | None = None


@dataclass(slots=True)
class StationState:
    """A station while its reports are worked on."""

    id: UUID
    epoch: int
    last_transaction_id: int
    given_ids: int = 0
    booted: Booted | None = None
    restarts: int = 0
    restarts_since: datetime | None = None
    """Starts that nobody asked for, counted anew an hour after the first."""

    def restart(self, at: datetime, within: timedelta) -> int:
        """How many there are with this one."""
        if self.restarts_since is None or at - self.restarts_since > within:
            self.restarts, self.restarts_since = 0, at
        self.restarts += 1
        return self.restarts


@dataclass(slots=True)
class OpenCommand:
    """A command whose effect is awaited."""

    id: UUID
    charger_id: UUID
    action: CommandAction
    id_token: str | None
    session_id: UUID | None


NO_OFFSET = timedelta()
_OPEN_COMMAND_STATES = (CommandState.QUEUED, CommandState.SENT, CommandState.ACCEPTED)


# A charge that began in time is also told of after the deadline; a command that was over before it was withdrawn.
_SPEND = """
UPDATE commands SET state = $2, session_id = $3, finished_at = $4, detail = NULL
WHERE id = $1 AND session_id IS NULL AND (finished_at IS NULL OR finished_at >= deadline)
"""


@dataclass(slots=True)
class Batch:
    """Everything that the reports concern. Handlers change it; `write` makes it so."""

    now: datetime
    stations: dict[UUID, StationState] = field(default_factory=dict)
    connectors: dict[UUID, list[Connector]] = field(default_factory=dict)
    sessions: dict[UUID, SessionRecord] = field(default_factory=dict)
    credentials: Credentials = field(default_factory=Credentials)
    commands: list[OpenCommand] = field(default_factory=list)
    alerts: list[OpenAlert] = field(default_factory=list)
    samples: list[SampleRow] = field(default_factory=list)
    signed: list[SignedRow] = field(default_factory=list)
    attempts: list[AttemptRecord] = field(default_factory=list)
    """Recent ones and new ones, newest last."""
    requests: list[RequestRecord] = field(default_factory=list)
    """New ones."""
    events: list[Event] = field(default_factory=list)
    _by_charger: dict[UUID, Connector] = field(default_factory=dict)
    _sessions_at: dict[UUID, dict[UUID, SessionRecord]] = field(default_factory=dict)
    _keys: dict[tuple[UUID | None, str, str], SessionRecord] = field(default_factory=dict)
    _new: set[UUID] = field(default_factory=set)
    _dirty: set[UUID] = field(default_factory=set)
    _read_on: set[UUID] = field(default_factory=set)
    _finals: set[UUID] = field(default_factory=set)
    _adopting: set[UUID] = field(default_factory=set)
    _ended_as: dict[UUID, tuple[Any, ...] | None] = field(default_factory=dict)
    """What was told of sessions that had ended before; None of others."""
    _ends_arrived: dict[UUID, datetime] = field(default_factory=dict)
    _lowest_later: dict[tuple[UUID, datetime], int | None] = field(default_factory=dict)
    _new_attempts: dict[UUID, AttemptRecord] = field(default_factory=dict)
    _linked_attempts: dict[UUID, AttemptRecord] = field(default_factory=dict)

    def all_connectors(self) -> Iterable[Connector]:
        """Every charger of the batch."""
        return (one for found in self.connectors.values() for one in found)

    def places(self) -> dict[UUID, UUID]:
        """Station → where it stands: of two sockets at two sites the place of the first."""
        return {
            station_id: min(found, key=lambda one: one.place.evse).place.installation_id
            for station_id, found in self.connectors.items()
            if found
        }

    def connector(self, station_id: UUID, evse: int | None) -> Connector | None:
        """The charger at that evse; where the message names none or one that we do not know, the station's first."""
        found = self.connectors.get(station_id, [])
        return next((one for one in found if one.place.evse == evse), found[0] if found else None)

    def connector_of(self, session: SessionRecord) -> Connector | None:
        """The charger of a session, if it is still there."""
        return self._by_charger.get(session.charger_id)

    def place(self, station_id: UUID, connector: Connector) -> None:
        """The charger is the next one of that station."""
        self.connectors.setdefault(station_id, []).append(connector)
        self._by_charger[connector.place.charger_id] = connector

    def keep(self, session: SessionRecord) -> None:
        """The session can be found by its keys."""
        if session.id not in self.sessions:
            had_ended = session.state is SessionState.ENDED and session.id not in self._new
            self._ended_as[session.id] = corrections.content_of(session) if had_ended else None
        self.sessions[session.id] = session
        self._sessions_at.setdefault(session.charger_id, {})[session.id] = session
        for name in ("transaction_id", "start_key", "stop_key"):
            if value := getattr(session, name):
                self._keys[(session.station_id, name, value)] = session

    def add(self, session: SessionRecord) -> None:
        """A new session, to be stored."""
        self._new.add(session.id)
        self.keep(session)

    def touch(self, session: SessionRecord) -> None:
        """The session has changed."""
        self._dirty.add(session.id)

    def read_on(self, session: SessionRecord) -> None:
        """Nothing of the session has changed but what readings change."""
        self._read_on.add(session.id)

    def finalise(self, session: SessionRecord) -> None:
        """Its energy and intervals are to be worked out from everything that is known."""
        self._dirty.add(session.id)
        self._finals.add(session.id)

    def keep_lowest_later(self, found: dict[tuple[UUID, datetime], int | None]) -> None:
        """(Session, instant) → the lowest register that is stored of a time that is surely later."""
        self._lowest_later = found

    def is_put_back(self, session: SessionRecord, register_wh: int | None, at: datetime) -> bool:
        """Whether the charger's clock was put back: a register that is higher than one that seems to be much younger."""
        lowest = self._lowest_later.get((session.id, at))
        return register_wh is not None and lowest is not None and lowest < register_wh

    def keep_ends(self, found: dict[UUID, datetime]) -> None:
        """(Session that has ended) → when its end arrived."""
        self._ends_arrived = found

    def end_arrived_at(self, session: SessionRecord) -> datetime | None:
        """When its end arrived: a correction was registered later. None while it goes on."""
        return None if session.is_open else self._ends_arrived.get(session.id, session.registered_at)

    def end_arrives(self, session: SessionRecord) -> None:
        """The end of the session is here now."""
        session.registered_at = self.now
        self._ends_arrived.pop(session.id, None)

    def adopt(self, session: SessionRecord) -> None:
        """Readings of its time at its charger that belong to no session are its own."""
        self._adopting.add(session.id)

    def by_key(self, station_id: UUID, name: str, key: str | None) -> SessionRecord | None:
        """The session with that `transaction_id`, `start_key` or `stop_key` at the station."""
        return self._keys.get((station_id, name, key)) if key else None

    def open_at(self, charger_id: UUID) -> list[SessionRecord]:
        """Sessions that go on at a charger, oldest first."""
        return sorted(
            (one for one in self._sessions_at.get(charger_id, {}).values() if one.is_open),
            key=lambda one: one.started_at,
        )

    def note(self, attempt: AttemptRecord) -> None:
        """The attempt is new."""
        self.attempts.append(attempt)
        self._new_attempts[attempt.id] = attempt

    def link(self, attempt: AttemptRecord, session_id: UUID) -> None:
        """The attempt led to that session."""
        attempt.session_id = session_id
        if attempt.id not in self._new_attempts:
            self._linked_attempts[attempt.id] = attempt

    def ask(self, request: RequestRecord) -> None:
        """The question is stored, and told to whoever answers such."""
        self.requests.append(request)
        self.credentials.asks(request)
        self.events.append(AuthorizationAsked(request.installation_id, request.id))

    def next_transaction_id(self, station_id: UUID) -> str:
        """A number that this station never had."""
        station = self.stations[station_id]
        station.last_transaction_id += 1
        station.given_ids += 1
        return str(station.last_transaction_id)

    def tell(self, session: SessionRecord, change: str, *, replaces_id: UUID | None = None) -> None:
        """The session's change is published after the commit."""
        self.events.append(
            SessionChanged(
                installation_id=session.installation_id,
                charger_id=session.charger_id,
                session_id=session.id,
                user_id=session.user_id,
                change=change,
                replaces_id=replaces_id,
            )
        )

    async def confirm(self, command: OpenCommand, session_id: UUID | None = None) -> None:
        """What the command asked for has happened."""
        self.commands.remove(command)
        await sql.execute(
            "UPDATE commands SET state = $1, finished_at = $2, session_id = COALESCE($3, session_id) WHERE id = $4",
            CommandState.CONFIRMED,
            self.now,
            session_id,
            command.id,
        )
        self.events.append(CommandChanged(command.id, command.charger_id, CommandState.CONFIRMED))

    async def progress(self, command: OpenCommand, detail: str, *, is_failed: bool) -> None:
        """What the command asked for is under way, or has failed; `detail` is the charger's word for it."""
        state = CommandState.ERROR if is_failed else CommandState.ACCEPTED
        if is_failed:
            self.commands.remove(command)
        await sql.execute(
            "UPDATE commands SET state = $1, finished_at = $2, detail = $3 WHERE id = $4",
            state,
            self.now if is_failed else None,
            detail[:500],
            command.id,
        )
        self.events.append(CommandChanged(command.id, command.charger_id, state))

    async def spend(self, opening: Opening, id_token: str, session: SessionRecord) -> bool:
        """Whether the opening is spent on that session now; else it was used or withdrawn meanwhile."""
        is_spent = await sql.execute(_SPEND, opening.command_id, CommandState.CONFIRMED, session.id, self.now) == 1
        self.credentials.spend(id_token, session.id if is_spent else None)
        if is_spent:
            self.commands = [one for one in self.commands if one.id != opening.command_id]
            self.events.append(CommandChanged(opening.command_id, session.charger_id, CommandState.CONFIRMED))
        return is_spent

    async def write(self) -> list[Event]:
        """Everything is stored; what is to be published after the commit."""
        await session_store.insert_samples(self.samples)
        await signed_records.keep(self.signed)
        await self._adopt()
        parts = self._finalised(await session_store.readings([*self._finals]))
        replaced = await self._replace_announced(parts)
        # First those that are known: one may have given up its transaction id to a new one.
        await session_store.update(self.sessions[one] for one in sorted(self._dirty - self._new))
        read_on_only = self._read_on - self._dirty - self._new
        await session_store.update_progress(self.sessions[one] for one in sorted(read_on_only))
        await corrections.make_void(replaced)
        await session_store.insert(self.sessions[one] for one in sorted(self._new))
        await self.write_attempts()
        await corrections.hand_over(replaced)
        await session_store.replace_intervals(parts)
        await self._write_alerts()
        await session_events.record(self.events, now=self.now)
        await self._write_stations()
        return [*self.events, *await live.write(self.all_connectors())]

    async def _replace_announced(self, parts: dict[UUID, tuple[UUID, Sequence[Part]]]) -> dict[UUID, UUID]:
        """Old → new of the sessions that were announced and are otherwise now: the new ones are to be stored in their place."""
        written = {one: self._ended_as[one] for one in self._dirty | self._read_on if self._ended_as.get(one)}
        changed = {one for one, before in written.items() if corrections.content_of(self.sessions[one]) != before}
        same = {one: found for one, (_, found) in parts.items() if one in written and one not in changed}
        changed |= await corrections.with_other_parts(same)
        replaced: dict[UUID, UUID] = {}
        for old_id in sorted(await corrections.announced(sorted(changed))):
            new = msgspec.structs.replace(self.sessions[old_id], id=new_id(), registered_at=self.now)
            replaced[old_id] = new.id
            self._dirty.discard(old_id)
            self._read_on.discard(old_id)
            self.sessions[new.id] = new
            self._new.add(new.id)
            if old_id in parts:
                parts[new.id] = parts.pop(old_id)
            self.events = [
                one for one in self.events if not (isinstance(one, SessionChanged) and one.session_id == old_id)
            ]
            self.tell(new, SessionEventKind.REPLACED, replaces_id=old_id)
        return replaced

    async def _adopt(self) -> None:
        for session in sorted((self.sessions[one] for one in self._adopting), key=lambda one: one.started_at):
            starts = [one.started_at for one in self._sessions_at[session.charger_id].values()]
            until = min((one for one in starts if one > session.started_at), default=None)
            await session_store.adopt_samples(session, until=until)

    async def write_attempts(self) -> None:
        """Attempts to charge and questions about them are stored."""
        await attempts.insert(self._new_attempts.values(), self.requests)
        await attempts.link(self._linked_attempts.values())

    async def _write_alerts(self) -> None:
        """Of cards that nobody knows, and of charges that arrive late: most batches have neither."""
        for attempt in self._new_attempts.values():
            connector = self._by_charger.get(attempt.charger_id)
            is_unknown = attempt.decision is AuthorizationDecision.INVALID and attempt.user_id is None
            if connector is not None and is_unknown and attempt.token:
                self.events += await late_news.unknown_card(connector, attempt.token, now=self.now)
        for session in (self.sessions[one] for one in sorted(self._finals)):
            is_news = session.registered_at is not None and session.registered_at >= self.now
            connector = self.connector_of(session)
            if connector is not None and is_news and SessionFlag.OFFLINE in session.flags:
                self.events += await late_news.offline_charge(connector, now=self.now)

    async def _write_stations(self) -> None:
        await sql.execute_many(
            "UPDATE stations SET last_transaction_id = $2 WHERE id = $1",
            [(one.id, one.last_transaction_id) for one in self.stations.values() if one.given_ids],
        )
        await sql.execute_many(
            "UPDATE stations SET vendor = $2, model = $3, serial_number = $4, firmware_version = $5, booted_at = $6,"
            " restarts = $7, restarts_since = $8 WHERE id = $1",
            [
                (
                    one.id,
                    one.booted.vendor,
                    one.booted.model,
                    one.booted.serial_number,
                    one.booted.firmware_version,
                    one.booted.received_at,
                    one.restarts,
                    one.restarts_since,
                )
                for one in self.stations.values()
                if one.booted is not None
            ],
        )

    def _finalised(self, readings: dict[UUID, list[Reading]]) -> dict[UUID, tuple[UUID, Sequence[Part]]]:
        parts: dict[UUID, tuple[UUID, Sequence[Part]]] = {}
        for session_id in sorted(self._finals):
            session = self.sessions[session_id]
            connector = self.connector_of(session)
            rating_w = connector.place.rating_w if connector else None
            parts[session_id] = (session.installation_id, final_energy(session, readings.get(session_id, []), rating_w))
        return parts


def final_energy(session: SessionRecord, samples: Sequence[Reading], rating_w: float | None) -> list[Part]:
    """The ended session has its energy, charging time and flag; its energy by interval."""
    started_at, ended_at = session.started_at, session.ended_at or session.started_at
    inside = [one for one in samples if started_at <= one.at <= ended_at]
    is_trusted = rating_w is not None and SessionFlag.CLOCK_UNRELIABLE not in session.flags
    stop_wh = session.meter_last_wh if session.meter_stop_wh is None and session.is_inferred else session.meter_stop_wh
    energy = session_energy(
        meter_start_wh=session.meter_start_wh,
        meter_stop_wh=stop_wh,
        registers=[one.register_wh for one in samples if one.register_wh is not None],
        limit_wh=most_possible_wh(rating_w, ended_at - started_at) if is_trusted and rating_w is not None else None,
    )
    session.energy_wh = energy.wh
    session.flags &= ~SessionFlag.ENERGY_ESTIMATED
    if energy.is_estimated:
        session.flags |= SessionFlag.ENERGY_ESTIMATED
    edges = [Reading(started_at, session.meter_start_wh), *inside, Reading(ended_at, stop_wh)]
    session.charging_s = round(charging_time(edges).total_seconds())
    session.connected_s = round((ended_at - started_at).total_seconds())
    if energy.wh is None:
        return []
    has_samples = any(one.register_wh is not None for one in inside)
    return intervals(started_at, ended_at, energy.wh, edges, is_estimated=not has_samples or energy.is_estimated)


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


WITH_TOKEN = SessionStarted | SessionClaimed | TokenPresented
"""What asks for a decision about a card."""
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
    batch.commands = await open_commands(_chargers(batch, moving))
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


async def open_commands(charger_ids: Sequence[UUID]) -> list[OpenCommand]:
    """Commands to these chargers whose effect is awaited, oldest first."""
    if not charger_ids:
        return []
    arguments: list[object] = list(_OPEN_COMMAND_STATES)
    condition = sql.any_of("charger_id", live.padded(charger_ids), arguments)
    found = await sql.rows(
        "SELECT id, charger_id, action, id_token, session_id FROM commands"  # noqa: S608  numbers of ours only
        f" WHERE state IN ($1, $2, $3) AND {condition} ORDER BY requested_at, id",
        *arguments,
    )
    return [
        OpenCommand(
            id=sql.uuid_of(row["id"]),
            charger_id=sql.uuid_of(row["charger_id"]),
            action=CommandAction(row["action"]),
            id_token=normalised_card_number(row["id_token"]) if row["id_token"] else None,
            session_id=sql.optional_uuid_of(row["session_id"]),
        )
        for row in found
    ]
