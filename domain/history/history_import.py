"""Historical sessions become rows: once each, with the sites, chargers and people that they need (domain.md §5, imported history).

A door for the operator's command line: it asks nobody's rights.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from itertools import islice
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import sql
from domain.history.history_mapping import (
    HistoricSession,
    HistoryMapping,
    LineReader,
    MappingError,
    NamedKey,
    Rejection,
    duration_of,
)
from domain.ids import new_id
from domain.models import Charger, ChargerStatus, Circuit, Installation, Offer, User
from domain.roles import SessionFlag, SessionState

BATCH = 500
_ROOT_NAME = "Main breaker"


@dataclass(slots=True)
class ImportResult:
    """What the file holds, and what of it is new. Energy in Wh; `open_ended` counts sessions without an end."""

    sessions: int = 0
    energy_wh: int = 0
    added: int = 0
    rejected: int = 0
    open_ended: int = 0
    open_ended_wh: int = 0
    _places: set[str] = field(default_factory=set)
    _people: set[str] = field(default_factory=set)
    _chargers: set[str] = field(default_factory=set)

    @property
    def installations(self) -> int:
        """Sites in the file."""
        return len(self._places)

    @property
    def people(self) -> int:
        """People in the file."""
        return len(self._people)

    @property
    def chargers(self) -> int:
        """Chargers in the file."""
        return len(self._chargers)

    def count(self, session: HistoricSession) -> None:
        """The session is in."""
        self.sessions += 1
        self.energy_wh += session.energy_wh
        self._places.add(session.installation.key)
        self._chargers.add(session.charger.key)
        if session.person is not None:
            self._people.add(session.person.key)
        if session.ended_at is None:
            self.open_ended += 1
            self.open_ended_wh += session.energy_wh


class _Seen:
    """Which keys came before, in 8 bytes each: ten million are 80 to 270 MB, where a set of texts would be gigabytes.

    Two keys in one of these are the same by one chance in 2^64 for each pair; then a line is rejected, never lost in silence.
    """

    def __init__(self) -> None:
        self._table = array("Q", bytes(8 << 12))
        self._used = 0

    def add(self, key: str) -> bool:
        """Whether the key is new."""
        number = int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) or 1
        if not self._insert(number):
            return False
        self._used += 1
        if self._used * 3 > len(self._table) * 2:
            full, self._table = self._table, array("Q", bytes(16 * len(self._table)))
            for one in full:
                if one:
                    self._insert(one)
        return True

    def _insert(self, number: int) -> bool:
        table, mask = self._table, len(self._table) - 1
        place = number & mask
        while table[place]:
            if table[place] == number:
                return False
            place = (place + 1) & mask
        table[place] = number
        return True


class HistoryImport:
    """One run over one file. `on_rejected` is called for every line that is not taken, in order within a batch."""

    def __init__(
        self, mapping: HistoryMapping, *, now: datetime, dry_run: bool, on_rejected: Callable[[Rejection], None]
    ) -> None:
        self._mapping = mapping
        self._now = now
        self._dry_run = dry_run
        self._on_rejected = on_rejected
        self._seen = _Seen()
        self._sites: dict[str, _Site] = {}
        self._chargers: dict[str, UUID] = {}
        self._people: dict[str, UUID] = {}
        self.result = ImportResult()

    async def run(self, lines: Iterable[str]) -> ImportResult:
        """Every readable line of the file is a session in the portal, unless this is a dry run; a line that was there is left as it is.

        MappingError when the header does not fit.
        """
        numbered = enumerate(lines, start=1)
        for _ in range(self._mapping.file.skip_lines):
            next(numbered, None)
        _, header = next(numbered, (0, ""))
        if not header.strip():
            raise MappingError("The file is empty, or its header is: its first line names the columns.")
        reader = LineReader(self._mapping, header.rstrip("\r\n"))
        sessions = self._read(reader, numbered)
        while batch := list(islice(sessions, BATCH)):
            await self._take(batch)
        return self.result

    def _reject(self, rejection: Rejection) -> None:
        self.result.rejected += 1
        self._on_rejected(rejection)

    def _read(self, reader: LineReader, numbered: Iterator[tuple[int, str]]) -> Iterator[HistoricSession]:
        for line, text in numbered:
            bare = text.rstrip("\r\n")
            if not bare.strip():
                continue
            found = reader.read(line, bare)
            if isinstance(found, Rejection):
                self._reject(found)
            elif not self._seen.add(found.key):
                self._reject(Rejection(line, f"the same session as an earlier line ({found.key})"))
            else:
                yield found

    async def _take(self, batch: Sequence[HistoricSession]) -> None:
        known = await _known_sessions([session.key for session in batch])
        new = []
        for session in batch:
            there = known.get(session.key)
            if there is not None and there != _facts(session):
                self._reject(Rejection(session.line, _difference(session, there)))
                continue
            self.result.count(session)
            if there is None:
                new.append(session)
        if not self._dry_run and new:
            async with in_transaction():
                await self._store(new)
        self.result.added += len(new)

    async def _store(self, new: Sequence[HistoricSession]) -> None:
        await self._make_sites({one.installation.key: one.installation for one in new})
        await self._make_chargers({one.charger.key: one for one in new})
        await self._make_people({one.person.key: one.person for one in new if one.person is not None})
        rows = [self._row(session) for session in new]
        await sql.execute_many(_INSERT_SESSION, rows)

    async def _make_sites(self, wanted: dict[str, NamedKey]) -> None:
        missing = [named for key, named in wanted.items() if key not in self._sites]
        if not missing:
            return
        sites = [self._new_site(named) for named in missing]
        await Installation.bulk_create(sites, ignore_conflicts=True)
        arguments: list[object] = []
        condition = sql.any_of("id", [site.id for site in sites], arguments)
        made = await sql.rows(f"SELECT id FROM installations WHERE {condition}", *arguments)  # noqa: S608  marks only
        await Circuit.bulk_create([self._new_root(sql.uuid_of(row["id"])) for row in made])
        arguments = []
        condition = sql.any_of("i.import_key", [named.key for named in missing], arguments)
        for found in await sql.rows(_SITES + condition, *arguments):
            self._sites[found["import_key"]] = _Site(
                id=sql.uuid_of(found["id"]),
                name=found["name"],
                time_zone=found["time_zone"],
                circuit_id=sql.uuid_of(found["circuit_id"]),
                circuit_name=found["circuit_name"],
            )

    def _new_site(self, named: NamedKey) -> Installation:
        columns = self._mapping.installation
        return Installation(
            name=named.name,
            import_key=named.key,
            country_code=columns.country_code,
            time_zone=self._mapping.file.time_zone,
            currency=columns.currency,
            category=columns.category,
            network_type=columns.network_type,
            created_at=self._now,
        )

    def _new_root(self, installation_id: UUID) -> Circuit:
        # No safe current: a fuse that nobody has confirmed gives nothing to cars that come later.
        breaker_a = self._mapping.installation.breaker_a
        return Circuit(
            installation_id=installation_id,
            name=_ROOT_NAME,
            breaker_l1=breaker_a,
            breaker_l2=breaker_a,
            breaker_l3=breaker_a,
            created_at=self._now,
        )

    async def _make_chargers(self, wanted: dict[str, HistoricSession]) -> None:
        missing = [one for key, one in wanted.items() if key not in self._chargers]
        chargers = []
        for one in missing:
            site = self._sites[one.installation.key]
            chargers.append(
                Charger(
                    installation_id=site.id,
                    circuit_id=site.circuit_id,
                    name=one.charger.name,
                    import_key=one.charger.key,
                    created_at=self._now,
                )
            )
        await Charger.bulk_create(chargers, ignore_conflicts=True)
        await _resolve(self._chargers, "chargers", [one.charger.key for one in missing])
        made = [one for one in chargers if self._chargers[one.import_key or ""] == one.id]
        await ChargerStatus.bulk_create(
            ChargerStatus(charger_id=one.id, installation_id=one.installation_id) for one in made
        )
        await Offer.bulk_create(Offer(charger_id=one.id, installation_id=one.installation_id) for one in made)

    async def _make_people(self, wanted: dict[str, NamedKey]) -> None:
        missing = [named for key, named in wanted.items() if key not in self._people]
        people = [User(name=named.name, import_key=named.key, created_at=self._now) for named in missing]
        await User.bulk_create(people, ignore_conflicts=True)
        await _resolve(self._people, "users", [named.key for named in missing])

    def _row(self, session: HistoricSession) -> tuple[object, ...]:
        """Registered when it ended, or when it started where there is no end (domain.md §5)."""
        site = self._sites[session.installation.key]
        ended_at = session.ended_at or session.started_at
        flags = SessionFlag(0) if session.ended_at is not None else SessionFlag.END_INFERRED
        connected_s = int(duration_of(session).total_seconds())
        return (
            new_id(),
            site.id,
            site.circuit_id,
            self._chargers[session.charger.key],
            None if session.person is None else self._people[session.person.key],
            site.name,
            site.circuit_name,
            session.charger.name,
            None if session.person is None else session.person.name,
            site.time_zone,
            session.key,
            int(flags),
            session.started_at,
            ended_at,
            session.energy_wh,
            connected_s,
            connected_s if session.energy_wh else 0,
            self._now,
        )


@dataclass(frozen=True, slots=True)
class _Site:
    id: UUID
    name: str
    time_zone: str
    circuit_id: UUID
    circuit_name: str


_Facts = tuple[datetime, datetime, int]
"""Start, end and energy: what a session that is imported again must have in common with the one that is there."""


def _facts(session: HistoricSession) -> _Facts:
    return session.started_at, session.ended_at or session.started_at, session.energy_wh


def _difference(session: HistoricSession, there: _Facts) -> str:
    started_at, ended_at, energy_wh = there
    return (
        f"the session {session.key} was imported before with other facts: from {started_at:%Y-%m-%d %H:%M} "
        f"to {ended_at:%Y-%m-%d %H:%M} UTC, {energy_wh} Wh; it stays as it was"
    )


async def _known_sessions(keys: Sequence[str]) -> dict[str, _Facts]:
    arguments: list[object] = []
    condition = sql.any_of("import_key", keys, arguments)
    statement = f"SELECT import_key, started_at, ended_at, energy_wh FROM charge_sessions WHERE {condition}"  # noqa: S608  marks only
    return {
        row["import_key"]: (sql.instant_of(row["started_at"]), sql.instant_of(row["ended_at"]), row["energy_wh"])
        for row in await sql.rows(statement, *arguments)
    }


async def _resolve(known: dict[str, UUID], table: str, keys: Sequence[str]) -> None:
    if not keys:
        return
    arguments: list[object] = []
    condition = sql.any_of("import_key", keys, arguments)
    statement = f"SELECT id, import_key FROM {table} WHERE {condition}"  # noqa: S608  two table names of ours, and marks
    known.update({row["import_key"]: sql.uuid_of(row["id"]) for row in await sql.rows(statement, *arguments)})


_SITES = """
SELECT i.id, i.import_key, i.name, i.time_zone, c.id AS circuit_id, c.name AS circuit_name
FROM installations i JOIN circuits c ON c.installation_id = i.id AND c.parent_id IS NULL AND c.removed_at IS NULL
WHERE """

_INSERT_SESSION = f"""
INSERT INTO charge_sessions (id, installation_id, circuit_id, charger_id, user_id, installation_name, circuit_name,
    charger_name, user_name, time_zone, import_key, flags, started_at, ended_at, registered_at, last_event_at, energy_wh,
    connected_s, charging_s, created_at, state, is_paused, priority)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $14, $15, $16, $17, $18,
    '{SessionState.ENDED}', FALSE, 0)
ON CONFLICT (import_key) DO NOTHING
"""  # noqa: S608  an enum's value
