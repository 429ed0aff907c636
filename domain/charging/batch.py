"""The working set of one transaction of the machine doors: what a batch of reports concerns, and what is to become of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.alerting.faults import OpenAlert
from domain.authorization.attempts import AttemptRecord, RequestRecord
from domain.authorization.decision import Credentials
from domain.charging import corrections
from domain.charging.live import Connector
from domain.charging.session_store import SampleRow, SessionRecord
from domain.equipment.signed_records import SignedRow
from domain.events import AuthorizationAsked, Event, SessionChanged
from domain.observations import Booted
from domain.roles import (
    CommandAction,
    SessionState,
)


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


@dataclass(slots=True)
class Changes:
    """What is to be stored of a batch. Sessions by their ids."""

    new: set[UUID] = field(default_factory=set)
    dirty: set[UUID] = field(default_factory=set)
    read_on: set[UUID] = field(default_factory=set)
    """Nothing of these has changed but what readings change, unless they are dirty, too."""
    finals: set[UUID] = field(default_factory=set)
    """Their energy is to be worked out from everything that is known."""
    adopting: set[UUID] = field(default_factory=set)
    ended_as: dict[UUID, tuple[Any, ...] | None] = field(default_factory=dict)
    """What was told of sessions that had ended before; None of others."""
    attempts: dict[UUID, AttemptRecord] = field(default_factory=dict)
    """New ones."""
    linked: dict[UUID, AttemptRecord] = field(default_factory=dict)
    """Known ones that have led to a session."""


@dataclass(slots=True)
class Batch:
    """Everything that the reports concern. Handlers change it; `batch_writing` makes it so."""

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
    changes: Changes = field(default_factory=Changes)
    _by_charger: dict[UUID, Connector] = field(default_factory=dict)
    _sessions_at: dict[UUID, dict[UUID, SessionRecord]] = field(default_factory=dict)
    _keys: dict[tuple[UUID | None, str, str], SessionRecord] = field(default_factory=dict)
    _ends_arrived: dict[UUID, datetime] = field(default_factory=dict)
    _lowest_later: dict[tuple[UUID, datetime], int | None] = field(default_factory=dict)

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

    def connector_at(self, charger_id: UUID) -> Connector | None:
        """The charger, if it is one of the batch's."""
        return self._by_charger.get(charger_id)

    def place(self, station_id: UUID, connector: Connector) -> None:
        """The charger is the next one of that station."""
        self.connectors.setdefault(station_id, []).append(connector)
        self._by_charger[connector.place.charger_id] = connector

    def keep(self, session: SessionRecord) -> None:
        """The session can be found by its keys."""
        if session.id not in self.sessions:
            had_ended = session.state is SessionState.ENDED and session.id not in self.changes.new
            self.changes.ended_as[session.id] = corrections.content_of(session) if had_ended else None
        self.sessions[session.id] = session
        self._sessions_at.setdefault(session.charger_id, {})[session.id] = session
        for name in ("transaction_id", "start_key", "stop_key"):
            if value := getattr(session, name):
                self._keys[(session.station_id, name, value)] = session

    def add(self, session: SessionRecord) -> None:
        """A new session, to be stored."""
        self.changes.new.add(session.id)
        self.keep(session)

    def touch(self, session: SessionRecord) -> None:
        """The session has changed."""
        self.changes.dirty.add(session.id)

    def read_on(self, session: SessionRecord) -> None:
        """Nothing of the session has changed but what readings change."""
        self.changes.read_on.add(session.id)

    def finalise(self, session: SessionRecord) -> None:
        """Its energy and intervals are to be worked out from everything that is known."""
        self.changes.dirty.add(session.id)
        self.changes.finals.add(session.id)

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
        self.changes.adopting.add(session.id)

    def by_key(self, station_id: UUID, name: str, key: str | None) -> SessionRecord | None:
        """The session with that `transaction_id`, `start_key` or `stop_key` at the station."""
        return self._keys.get((station_id, name, key)) if key else None

    def sessions_at(self, charger_id: UUID) -> Iterable[SessionRecord]:
        """All of the batch's that are a charger's."""
        return self._sessions_at.get(charger_id, {}).values()

    def open_at(self, charger_id: UUID) -> list[SessionRecord]:
        """Sessions that go on at a charger, oldest first."""
        return sorted(
            (one for one in self.sessions_at(charger_id) if one.is_open),
            key=lambda one: one.started_at,
        )

    def note(self, attempt: AttemptRecord) -> None:
        """The attempt is new."""
        self.attempts.append(attempt)
        self.changes.attempts[attempt.id] = attempt

    def link(self, attempt: AttemptRecord, session_id: UUID) -> None:
        """The attempt led to that session."""
        attempt.session_id = session_id
        if attempt.id not in self.changes.attempts:
            self.changes.linked[attempt.id] = attempt

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
