"""One case: somebody asks something of a world, and everything in the answer must be theirs to know."""

import base64
import binascii
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from app.database import Database, opened
from domain.access import Access
from domain.ids import new_id
from domain.roles import Scope, SessionState
from gql.ids import global_id
from gql.schema.public import public_schema
from tests.factories import NOW, access
from tests.gql.asking import Api, no_clearing_away
from tests.scoping.oracle import Caller, Oracle, is_told_exactly
from tests.scoping.planted import planted
from tests.scoping.questions import PERIOD, Questions
from tests.scoping.world import PersonFact, ProgramFact, SessionFact, World, a_world

CASES_A_WORLD = 50

_WORD = re.compile(r"w\d{5}x")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?7[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}")
"""Of rows; those of other versions are digests."""
_ENCODED = re.compile(r"[A-Za-z0-9_-]{8,}")
_GLOBAL = re.compile(rf"([A-Z][A-Za-z]+):({_UUID.pattern}|[0-9a-f]{{32}})")


_LISTED = ("Installation", "Charger", "ChargeSession", "ChargeCard", "Permission", "User")
_MANY = 10**9


class LeakError(AssertionError):
    """Something in an answer is not the asker's to know."""


class HidingError(AssertionError):
    """Something that is the asker's is missing, or counted wrong."""


@dataclass(slots=True)
class Tally:
    """What was looked at."""

    cases: int = 0
    queries: int = 0
    refused: int = 0
    """Questions that were answered with errors only."""
    values: int = 0
    leaks: list[str] = field(default_factory=list)
    hidings: list[str] = field(default_factory=list)


async def run_world(seed: int, tally: Tally) -> None:
    """The cases of one world, in the open, empty database; their faults are in the tally."""
    random = Random(seed)
    asking = Asking(await a_world(random), random, tally)
    with no_clearing_away():
        for number in range(CASES_A_WORLD):
            tally.cases += 1
            try:
                await asking.case()
            except LeakError as leak:
                tally.leaks.append(f"seed {seed}, case {number}: {leak}")
            except HidingError as hiding:
                tally.hidings.append(f"seed {seed}, case {number}: {hiding}")


@asynccontextmanager
async def empty_database(template: Path) -> AsyncIterator[None]:
    """Inside: a copy of a migrated, empty SQLite file is open."""
    with TemporaryDirectory(prefix="lade-w-") as folder:
        copy = Path(folder) / "lade.sqlite3"
        shutil.copy(template, copy)
        async with opened(Database(sqlite_file=copy)):
            yield


async def cases_until_found(name: str, template: Path, seeds: Sequence[int]) -> int | None:
    """After how many cases the planted leak is found; None when it is not."""
    tally = Tally()
    with planted(name):
        for seed in seeds:
            async with empty_database(template):
                await run_world(seed, tally)
            if tally.leaks:
                return tally.cases
    return None


class Asking:
    """Who asks in a world, and what."""

    def __init__(self, world: World, random: Random, tally: Tally) -> None:
        self.world = world
        self.random = random
        self.tally = tally
        self.api = Api()
        self.by_type = by_type = _all_ids(world)
        self.all_ids = [one for ids in by_type.values() for one in ids]
        self.questions = Questions(
            public_schema().core, random, by_type, [], words=world.words(), followed=self.all_ids
        )
        self._oracles: dict[UUID | None, Oracle] = {}
        self._accesses: dict[UUID | None, Access] = {}
        self._probes: tuple[Callable[[Oracle, Access], Awaitable[None]], ...] = (
            self._lists,
            self._filtered_sessions,
            self._filtered_sessions,
            self._filtered_chargers,
            self._usage,
            self._nodes,
            self._statuses,
            self._hidden_ids,
            self._hidden_words,
        )

    async def case(self) -> None:
        """A random question, and one whose answer is known exactly."""
        caller = self.random.choice([*self.world.people, *self.world.people, *self.world.programs, None])
        oracle, held = await self._who(caller)
        question = self.questions.query()
        answer = await self._ask(held, question)
        self._check(oracle, answer, question)
        await self.random.choice(self._probes)(oracle, held)

    async def _who(self, caller: Caller) -> tuple[Oracle, Access]:
        key = None if caller is None else caller.id
        if key not in self._oracles:
            self._oracles[key] = Oracle(self.world, caller)
            self._accesses[key] = await self._access(caller)
        return self._oracles[key], self._accesses[key]

    async def _access(self, caller: Caller) -> Access:
        match caller:
            case PersonFact():
                return await access(caller.id)
            case ProgramFact():
                return await self.world.handles[caller.id].access()
        return Access.nobody(NOW)

    async def _ask(self, held: Access, query: str, **variables: object) -> dict[str, Any]:
        self.tally.queries += 1
        answer = await self.api.ask(held, query, variables)
        if answer.get("data") is None:
            self.tally.refused += 1
        return answer

    def _check(self, oracle: Oracle, answer: Mapping[str, Any], question: str) -> None:
        for name, value, kind in _leaves(answer, "", ""):
            self.tally.values += 1
            trouble = _trouble(oracle, name, value, kind)
            if trouble is not None:
                raise LeakError(
                    f"{_called(oracle.caller)} was told {trouble} in {name} of {kind or 'the answer'}:\n{question}"
                )

    async def _checked(self, oracle: Oracle, held: Access, query: str, **variables: object) -> dict[str, Any] | None:
        answer = await self._ask(held, query, **variables)
        self._check(oracle, answer, query)
        data: dict[str, Any] | None = answer.get("data")
        return data

    async def _lists(self, oracle: Oracle, held: Access) -> None:
        """Exactly the installations, chargers and charges that are theirs, and as many are counted."""
        connection = "(first: 100) { totalCount nodes { __typename id } }"
        data = await self._checked(
            oracle, held, f"{{ installations{connection} chargers{connection} sessions{connection} }}"
        )
        assert data is not None
        for name, kind in (("installations", "Installation"), ("chargers", "Charger"), ("sessions", "ChargeSession")):
            self._same(oracle, name, data[name], {global_id(kind, one) for one in oracle.knows.of(kind)})

    async def _filtered_sessions(self, oracle: Oracle, held: Access) -> None:
        """A filter finds what it says among the charges that are theirs, and nothing by what is hidden."""
        where, matches = self._session_filter(oracle, 0)
        data = await self._checked(
            oracle,
            held,
            "query($w: ChargeSessionWhere) { sessions(first: 100, where: $w) { totalCount nodes { __typename id energyKwh } } }",
            w=where,
        )
        assert data is not None, where
        seen = [one for one in self.world.sessions if oracle.sees_session(one) and matches(one)]
        self._same(
            oracle, f"sessions where {where}", data["sessions"], {global_id("ChargeSession", one.id) for one in seen}
        )

    def _session_filter(self, oracle: Oracle, depth: int) -> tuple[dict[str, Any], Callable[[SessionFact], bool]]:
        world, random = self.world, self.random
        kind = random.choice(
            ("user", "card", "charger", "installation", "circuit", "energy", "state", "and", "or", "not")
        )
        if depth > 1 and kind in ("and", "or", "not"):
            kind = "user"
        match kind:
            case "user":
                person = random.choice(world.people)
                return {"userId": {"eq": global_id("User", person.id)}}, lambda one: one.user_id == person.id
            case "card" if world.cards:
                card = random.choice(world.cards)
                return {"chargeCardId": {"eq": global_id("ChargeCard", card.id)}}, lambda one: one.card_id == card.id
            case "circuit":
                site = random.choice(world.sites)
                circuit = random.choice(list(site.circuits))
                return (
                    {"circuitId": {"eq": global_id("Circuit", circuit)}},
                    lambda one: one.circuit_id == circuit and oracle.observes(one.site_id),
                )
            case "installation":
                site = random.choice(world.sites)
                return (
                    {"installationId": {"eq": global_id("Installation", site.id)}},
                    lambda one: one.site_id == site.id and oracle.sees_site(site.id),
                )
            case "energy":
                wh = 1 << random.randrange(len(world.sessions))
                return {
                    "energyKwh": {"gte": str(Decimal(wh) / 1000)}
                }, lambda one: one.state is not SessionState.VOID and one.wh >= wh
            case "state":
                state = random.choice(tuple(SessionState))
                return {"state": [state]}, lambda one: one.state is state
            case "and" | "or":
                (first, is_first), (second, is_second) = (self._session_filter(oracle, depth + 1) for _ in range(2))
                if kind == "and":
                    return {"AND": [first, second]}, lambda one: is_first(one) and is_second(one)
                return {"OR": [first, second]}, lambda one: is_first(one) or is_second(one)
            case "not":
                inner, is_inner = self._session_filter(oracle, depth + 1)
                return {"NOT": inner}, lambda one: not is_inner(one)
        charger = random.choice(world.chargers)
        # A charger that they do not see any more finds nothing, as one that never was.
        return (
            {"chargerId": {"eq": global_id("Charger", charger.id)}},
            lambda one: one.charger_id == charger.id and oracle.finds_by(charger),
        )

    async def _filtered_chargers(self, oracle: Oracle, held: Access) -> None:
        """Chargers are found by identity or circuit only by those who may see these."""
        charger = self.random.choice(self.world.chargers)
        text, is_hidden = self.random.choice(((charger.name, False), (charger.identity, True)))
        name = "identity" if is_hidden else "name"
        data = await self._checked(
            oracle,
            held,
            "query($w: ChargerWhere) { chargers(first: 100, where: $w) { totalCount nodes { __typename id } } }",
            w={name: {"contains": text}},
        )
        assert data is not None
        is_found = oracle.sees_details(charger) if is_hidden else oracle.sees_charger(charger)
        wanted = {global_id("Charger", charger.id)} if is_found else set[str]()
        self._same(oracle, f"chargers by {name}", data["chargers"], wanted)

    async def _usage(self, oracle: Oracle, held: Access) -> None:
        """A summary adds up exactly what is theirs, and there is none of places whose charges they may not all see."""
        sites = self.random.sample(self.world.sites, self.random.randint(1, 2))
        dimension = self.random.choice(("CHARGER", "USER", "CHARGE_CARD", "CIRCUIT", "MONTH"))
        data = await self._checked(
            oracle,
            held,
            "query($i: UsageSummaryInput!, $p: PeriodInput!) { usageSummary(input: $i) { ...it }"
            " viewer { usageSummary(period: $p) { ...it } } }"
            " fragment it on UsageSummary { total { __typename sessionCount energyKwh }"
            " rows(first: 100) { nodes { labels usage { __typename sessionCount energyKwh } } } }",
            i={
                "installationIds": [global_id("Installation", one.id) for one in sites],
                "period": PERIOD,
                "groupBy": [dimension],
            },
            p=PERIOD,
        )
        ended = [one for one in self.world.sessions if one.state is SessionState.ENDED]
        may = all(oracle.owns(one.id) or Scope.READ_SESSIONS in oracle.scopes_at(one.id) for one in sites)
        shown = (data or {}).get("usageSummary")
        if may != (shown is not None):
            raise (HidingError if may else LeakError)(
                f"{_called(oracle.caller)}: a summary of {len(sites)} installations"
            )
        here = {one.id for one in sites}
        if shown is not None:
            self._sums(oracle, shown, [one for one in ended if one.site_id in here])
        viewer = (data or {}).get("viewer")
        if oracle.user_id is not None and viewer is not None and viewer["usageSummary"] is not None:
            self._sums(oracle, viewer["usageSummary"], [one for one in ended if one.user_id == oracle.user_id])

    def _sums(self, oracle: Oracle, shown: Mapping[str, Any], wanted: list[SessionFact]) -> None:
        energy, count = sum(one.wh for one in wanted), len(wanted)
        rows = [row["usage"] for row in shown["rows"]["nodes"]]
        told = (_wh(shown["total"]["energyKwh"]), shown["total"]["sessionCount"])
        summed = (sum(_wh(one["energyKwh"]) for one in rows), sum(one["sessionCount"] for one in rows))
        if told != (energy, count) or summed != (energy, count):
            kind = LeakError if told[0] & ~energy else HidingError
            raise kind(f"{_called(oracle.caller)}: a summary says {told} and its rows {summed} for {(energy, count)}")

    async def _nodes(self, oracle: Oracle, held: Access) -> None:
        """Of things anywhere in the world exactly their own are found by id."""
        asked = self.random.sample(self.all_ids, 25)
        data = await self._checked(
            oracle, held, "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", ids=asked
        )
        assert data is not None
        found = {one["id"] for one in data["nodes"] if one is not None}
        for kind in ("Installation", "Charger", "Circuit", "ChargeSession"):
            wanted = {global_id(kind, one) for one in oracle.knows.of(kind)} & set(asked)
            is_exact = kind != "ChargeSession" or is_told_exactly(self.world, oracle.caller)
            if is_exact and not wanted <= found:
                raise HidingError(f"{_called(oracle.caller)} does not find their own {kind} by id")

    async def _statuses(self, oracle: Oracle, held: Access) -> None:
        """What goes on at a charger is told to those whom it concerns."""
        await self._checked(
            oracle,
            held,
            "{ chargers(first: 100) { nodes { __typename id name identity serialNumber circuit { __typename id name }"
            " status { __typename mode powerKw sessionEnergyKwh }"
            " activeSession { __typename id energyKwh userName cardName user { __typename id name email } } } } }",
        )

    async def _hidden_ids(self, oracle: Oracle, held: Access) -> None:
        """Whoever asks by the id of something hidden is answered as by an id that never was."""
        kind = self.random.choice(list(_ASKED_BY_ID))
        # Of their own charges they know where it was, also when the place itself is not theirs to see any more.
        theirs = {
            one
            for charge in self.world.sessions
            if oracle.sees_session(charge)
            for one in (charge.charger_id, charge.site_id)
        }
        # Who holds a whole place may report on the chargers that were removed from it.
        theirs |= {one.id for one in self.world.chargers if oracle.finds_by(one)}
        shown = oracle.knows.of(kind) | theirs
        hidden = [one for one in self.by_type[kind] if _uuid_of(one) not in shown]
        if hidden:
            await self._as_absent(oracle, held, kind, self.random.choice(hidden), global_id(kind, new_id()))

    async def _as_absent(self, oracle: Oracle, held: Access, kind: str, hidden: str, absent: str) -> None:
        document = _ASKED_BY_ID[kind]
        told = [await self._checked(oracle, held, document, id=one, ids=[one], p=PERIOD) for one in (hidden, absent)]
        if told[0] != told[1]:
            raise LeakError(f"{_called(oracle.caller)}: a hidden {kind} does not look absent:\n{document}\n{told}")

    async def _hidden_words(self, oracle: Oracle, held: Access) -> None:
        """Whoever searches for a word that is not theirs to know is answered as if it stood nowhere."""
        known, world = oracle.knows, self.world
        near = [one.identity for one in world.chargers if one.id in known.of("Charger")]
        near += [one.external_id for one in world.grants if one.id in known.of("Permission")]
        near = [one for one in near if one not in known.words]
        hidden = [one for one in self.questions.words if one not in known.words]
        if not hidden:
            return
        # What is hidden of things that they see is found the sooner.
        word = self.random.choice(near if near and self.random.random() < 0.8 else hidden)
        told = [await self._checked(oracle, held, _SEARCHED, word={"contains": one}) for one in (word, "w99999x")]
        if told[0] != told[1]:
            raise LeakError(f"{_called(oracle.caller)}: the hidden word {word} is found:\n{told}")

    def _same(self, oracle: Oracle, what: str, shown: Mapping[str, Any], wanted: set[str]) -> None:
        found = {one["id"] for one in shown["nodes"]}
        if found - wanted or shown["totalCount"] > len(wanted):
            raise LeakError(
                f"{_called(oracle.caller)}: {what}: {shown['totalCount']} counted, {len(wanted)} are theirs"
            )
        is_short = found != wanted or shown["totalCount"] != len(wanted)
        if is_short and is_told_exactly(self.world, oracle.caller):
            raise HidingError(f"{_called(oracle.caller)}: {what}: {len(found)} of {len(wanted)} are shown")


_PAGE = "{ totalCount nodes { __typename id } }"
_NODE = "node(id: $id) { __typename id } nodes(ids: $ids) { __typename id }"
_ASKED_BY_ID = {
    "Installation": f"""query($id: ID!, $ids: [ID!]!) {{ {_NODE}
        installations(first: 50, where: {{NOT: {{id: {{eq: $id}}}}}}) {_PAGE}
        chargers(first: 50, where: {{OR: [{{installationId: {{eq: $id}}}}, {{mode: FAULTED}}]}}) {_PAGE}
        sessions(first: 50, where: {{installationId: {{oneOf: $ids}}}}) {_PAGE} }}""",
    "Charger": f"""query($id: ID!, $ids: [ID!]!, $p: PeriodInput!) {{ {_NODE}
        chargers(first: 50, where: {{NOT: {{id: {{oneOf: $ids}}}}}}) {_PAGE}
        sessions(first: 50, where: {{NOT: {{chargerId: {{eq: $id}}}}}}) {_PAGE}
        viewer {{ usageSummary(period: $p, where: {{chargerIds: $ids}}) {{ total {{ sessionCount }} }} }} }}""",
    "Circuit": f"""query($id: ID!, $ids: [ID!]!) {{ {_NODE}
        chargers(first: 50, where: {{circuitId: {{eq: $id}}}}) {_PAGE}
        sessions(first: 50, where: {{circuitId: {{oneOf: $ids}}}}) {_PAGE}
        others: sessions(first: 50, where: {{NOT: {{circuitId: {{eq: $id}}}}}}) {_PAGE} }}""",
    "User": f"""query($id: ID!, $ids: [ID!]!, $p: PeriodInput!) {{ {_NODE}
        sessions(first: 50, where: {{userId: {{eq: $id}}}}) {_PAGE}
        installations(first: 50) {{ nodes {{ permissions(first: 50, where: {{userId: {{eq: $id}}}}) {_PAGE} }} }}
        viewer {{ usageSummary(period: $p, where: {{userIds: $ids}}) {{ total {{ sessionCount }} }} }} }}""",
    "ChargeCard": f"""query($id: ID!, $ids: [ID!]!, $p: PeriodInput!) {{ {_NODE}
        sessions(first: 50, where: {{chargeCardId: {{oneOf: $ids}}}}) {_PAGE}
        viewer {{ usageSummary(period: $p, where: {{chargeCardIds: $ids}}) {{ total {{ sessionCount }} }} }} }}""",
    "ChargeSession": f"""query($id: ID!, $ids: [ID!]!) {{ {_NODE}
        sessions(first: 50, where: {{NOT: {{id: {{eq: $id}}}}}}) {_PAGE} }}""",
}
_SEARCHED = f"""query($word: StringFilter!) {{
    installations(first: 50, where: {{name: $word}}) {{ totalCount nodes {{ __typename id }} }}
    chargers(first: 50, where: {{OR: [{{name: $word}}, {{identity: $word}}, {{serialNumber: $word}}]}}) {_PAGE}
    others: chargers(first: 50, where: {{NOT: {{identity: $word}}}}) {_PAGE}
    sessions(first: 50, where: {{externalId: $word}}) {_PAGE}
    places: installations(first: 50) {{ nodes {{ permissions(first: 50, where: {{externalId: $word}}) {_PAGE} }} }} }}"""


def _wh(energy_kwh: str) -> int:
    return int(Decimal(energy_kwh) * 1000)


def _called(caller: Caller) -> str:
    match caller:
        case PersonFact():
            return f"{'administrator' if caller.is_administrator else 'person'} {caller.name}"
        case ProgramFact():
            return f"program {caller.name} ({', '.join(sorted(caller.scopes))})"
    return "nobody"


def _leaves(value: object, name: str, kind: str) -> Iterator[tuple[str, object, str]]:
    """(field, value, type of the object that has it) of everything in an answer, aliases undone."""
    match value:
        case dict():
            inner = str(value.get("__typename", kind))
            for key, one in value.items():
                yield from _leaves(one, key.partition("__")[0] if not key.startswith("__") else key, inner)
        case list():
            for one in value:
                yield from _leaves(one, name, kind)
        case _:
            yield name, value, kind


def _trouble(oracle: Oracle, name: str, value: object, kind: str) -> str | None:
    """What in the value is not theirs to know."""
    known = oracle.knows
    if isinstance(value, int) and name == "totalCount" and value > _countable(oracle, kind):
        return f"{value} are counted"
    if not isinstance(value, str):
        return None
    if name in ("energyKwh", "sessionEnergyKwh") and kind in ("ChargeSession", "Usage", "ChargerStatus"):
        mask = known.status_energy if name == "sessionEnergyKwh" else known.energy
        return f"the energy {value}" if _wh(value) & ~mask else None
    for text in (value, *_decoded(value)):
        foreign = [word for word in _WORD.findall(text.lower()) if word not in known.words]
        if foreign:
            return f"the word {foreign[0]}"
        for one_kind, digits in _GLOBAL.findall(text):
            if UUID(digits) not in known.of(one_kind) and not _is_of_an_entry(oracle, name, UUID(digits)):
                return f"the id of a {one_kind}"
        for digits in _UUID.findall(text):
            if not any(UUID(digits) in ids for ids in known.ids.values()):
                return f"the id {digits}"
    return None


def _is_of_an_entry(oracle: Oracle, name: str, identity: UUID) -> bool:
    return name == "objectId" and identity in oracle.knows.of("Charger of an entry")


def _countable(oracle: Oracle, kind: str) -> int:
    of = kind.removesuffix("Connection")
    return len(oracle.knows.of(of)) if of in _LISTED and of != kind else _MANY


def _uuid_of(identity: str) -> UUID:
    return UUID(base64.urlsafe_b64decode(identity + "==").decode().partition(":")[2])


def _decoded(text: str) -> Iterator[str]:
    """What ids and cursors hold."""
    if _ENCODED.fullmatch(text):
        try:
            yield base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            return


def _all_ids(world: World) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}

    def add(kind: str, identity: UUID) -> None:
        ids.setdefault(kind, []).append(global_id(kind, identity))

    for site in world.sites:
        add("Installation", site.id)
        for circuit_id in site.circuits:
            add("Circuit", circuit_id)
    for kind, things in (
        ("Charger", world.chargers),
        ("User", world.people),
        ("UserGroup", world.groups),
        ("Permission", world.grants),
        ("ChargeCard", world.cards),
        ("ChargeSession", world.sessions),
        ("AuthorizationAttempt", world.attempts),
        ("ServiceAccount", world.programs),
    ):
        for thing in things:
            add(kind, thing.id)
    for program in world.programs:
        add("ApiToken", program.token_id)
    for one in world.others:
        add(one.kind, one.id)
    return ids
