"""The access matrix: what every caller gets at every root field, mutation, subscription and field that leads to another object.

The rows are made from the schema: a field without a row fails. Each row is a case, on a copy of one world, and meets every caller.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLUnionType, get_named_type

from app.database import Database, opened
from domain.access import Access
from domain.errors import DomainError
from domain.models import AuditEntry
from gql.audiences import Audiences
from gql.engine import Caller, RefusedError, Request, told
from gql.errors import EdgeError
from gql.ids import global_id
from gql.schema.public import public_schema
from tests.access.city import City, a_city
from tests.access.fields import FIELDS, SEEN_BY, FieldRow
from tests.access.streams import STREAMS
from tests.conftest import in_own_loop
from tests.gql.asking import Api, charger_id, installation_id
from tests.gql.matrix import (
    CALLERS,
    ELSEWHERE,
    FORMER,
    MUTATIONS,
    NOT_SIGNED_IN,
    PROGRAM_ELSEWHERE,
    PROGRAMS,
    QUERIES,
    MutationRow,
    QueryRow,
)

_PLUMBING = ("Connection", "Edge", "Success", "Event", "SimulatedBalancing")
"""Types whose fields show what the field that leads to them was allowed to find."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A world in a file."""

    path: Path
    city: City


def _world(template: Path, folder: Path, *, is_empty: bool) -> _Made:
    path = Path(shutil.copy(template, folder / "lade.sqlite3"))
    built: list[City] = []

    async def build() -> None:
        async with opened(Database(sqlite_file=path)):
            built.append(await a_city(is_empty=is_empty))

    in_own_loop(build())
    return _Made(path, built[0])


@pytest.fixture(scope="session")
def full_world(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> _Made:
    """A site with something of everything in it."""
    return _world(sqlite_template, tmp_path_factory.mktemp("full"), is_empty=False)


@pytest.fixture(scope="session")
def quiet_world(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> _Made:
    """The same callers at a site where nothing goes on."""
    return _world(sqlite_template, tmp_path_factory.mktemp("quiet"), is_empty=True)


@asynccontextmanager
async def _copied(made: _Made, folder: Path) -> AsyncIterator[City]:
    async with opened(Database(sqlite_file=Path(shutil.copy(made.path, folder / "lade.sqlite3")))):
        yield made.city


@pytest.fixture
async def city(full_world: _Made, tmp_path: Path) -> AsyncIterator[City]:
    """The full world, for one row alone."""
    async with _copied(full_world, tmp_path) as found:
        yield found


def _object_fields() -> Iterator[str]:
    """`Type.field` of every field that leads to another object, but for plumbing, roots and errors."""
    core = public_schema().core
    roots = {core.query_type, core.mutation_type, core.subscription_type}
    error = core.type_map["UserError"]
    for name, kind in sorted(core.type_map.items()):
        if not isinstance(kind, GraphQLObjectType) or name.startswith("__") or kind in roots:
            continue
        if name.endswith(_PLUMBING) or error in kind.interfaces:
            continue
        for field_name, one in kind.fields.items():
            if isinstance(get_named_type(one.type), GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType):
                yield f"{name}.{field_name}"


def test_every_field_has_a_row() -> None:
    """Who may use a field is written down before anyone can."""
    core = public_schema().core
    assert core.query_type is not None
    assert core.mutation_type is not None
    assert core.subscription_type is not None
    assert set(QUERIES) == set(core.query_type.fields)
    assert set(MUTATIONS) == set(core.mutation_type.fields)
    assert set(STREAMS) == set(core.subscription_type.fields)
    assert set(FIELDS) == set(_object_fields())


# ── fields that lead to another object


@pytest.mark.parametrize("name", FIELDS)
async def test_field(city: City, name: str) -> None:
    """What a caller may not see is null, an empty list or an empty page, and never an error."""
    row = FIELDS[name]
    _, seers = SEEN_BY[row.at]
    assert {caller: await _found(city, row, caller) for caller in CALLERS} == {
        caller: "seen" if caller in row.sees else "empty" if caller in seers else "hidden" for caller in CALLERS
    }


async def _found(city: City, row: FieldRow, caller: str) -> str:
    kind, _ = SEEN_BY[row.at]
    if kind:
        document = f"query ($id: ID!) {{ found: node(id: $id) {{ ... on {kind} {{ {row.path} }} }} }}"
        given = {"id": global_id(kind, city.nodes[row.at])}
    else:
        document, given = f"{{ found: {row.at} {{ {row.path} }} }}", {}
    data = await Api().data(await city.access(caller), document, given)
    return "hidden" if data["found"] is None else "seen" if _shows(data["found"]) else "empty"


def _shows(value: Any) -> bool:
    """Whether there is anything at a `target`."""
    if isinstance(value, list):
        return any(map(_shows, value))
    if not isinstance(value, dict):
        return False
    return any(_is_something(one) if name == "target" else _shows(one) for name, one in value.items())


def _is_something(value: Any) -> bool:
    if isinstance(value, dict) and "nodes" in value:
        assert value.get("totalCount", len(value["nodes"])) == len(value["nodes"])
        return bool(value["nodes"])
    return bool(value)


# ── root fields


@pytest.mark.parametrize("name", QUERIES)
async def test_root_field(city: City, name: str) -> None:
    """Lists and counts hold what the caller may see; NOT_FOUND where they asked for something hidden by its id."""
    row = QUERIES[name]
    assert {caller: await _answer(city, row, name, caller) for caller in CALLERS} == {
        caller: (["NOT_FOUND"] if caller in row.refused else [], row.expected(city.town, caller)) for caller in CALLERS
    }


async def _answer(city: City, row: QueryRow, name: str, caller: str) -> tuple[list[str], Any]:
    """The codes of the errors, and the data."""
    variables = {
        "id": charger_id(city.town.charger_id),
        "hidden": charger_id(city.town.other_charger_id),
        "site": installation_id(city.town.site.id),
    }
    given = {variable: value for variable, value in variables.items() if f"${variable}" in row.selection}
    declared = f"({', '.join(f'${variable}: ID!' for variable in given)})" if given else ""
    answer = await Api().ask(await city.access(caller), f"query {declared} {{ {row.selection} }}", given)
    return [error["extensions"]["code"] for error in answer.get("errors", ())], answer["data"][name]


# ── mutations


@pytest.mark.parametrize("name", MUTATIONS)
async def test_mutation(quiet_world: _Made, tmp_path: Path, name: str) -> None:
    """Not signed in: UNAUTHENTICATED. Hidden: NOT_FOUND. Seen, but not theirs: NOT_ALLOWED. Refused: not one value has changed.

    Done: one entry in the audit log. Whoever may do it does it in a world where nobody has.
    """
    row, outcomes = MUTATIONS[name], dict[str, str]()
    expected = {caller: _expected(row, caller) for caller in CALLERS}
    refused = [caller for caller in CALLERS if expected[caller] != "done"]
    allowed = [caller for caller in CALLERS if expected[caller] == "done"]
    for callers in (refused, *([caller] for caller in allowed)):
        async with _copied(quiet_world, tmp_path) as city:
            given = await row.given(city.town)
            for caller in callers:
                outcomes[caller] = await _tried(row, name, given, await city.access(caller), tmp_path)
    assert outcomes == expected


async def _tried(row: MutationRow, name: str, given: Mapping[str, Any], access: Access, folder: Path) -> str:
    api, entries, before = Api(), await AuditEntry.all().count(), _content(folder)
    outcome = _outcome(await api.ask(access, _document(name), {"input": given}), name)
    is_done = outcome == "done"
    assert await AuditEntry.all().count() - entries == int(is_done and row.is_audited)
    if not is_done:
        assert _content(folder) == before
        assert api.bus.published == []
    return outcome


def _document(name: str) -> str:
    kind = public_schema().core.mutation_type
    assert kind is not None
    argument = kind.fields[name].args["input"].type
    return f"mutation ($input: {argument}) {{ {name}(input: $input) {{ __typename ... on UserError {{ code }} }} }}"


def _outcome(answer: dict[str, Any], name: str) -> str:
    if "errors" in answer:
        return "top-level " + ", ".join(error["extensions"]["code"] for error in answer["errors"])
    return str(answer["data"][name].get("code", "done"))


def _expected(row: MutationRow, caller: str) -> str:
    if caller == NOT_SIGNED_IN and row.needs_sign_in:
        return "top-level UNAUTHENTICATED"
    is_program = caller in PROGRAMS or caller == PROGRAM_ELSEWHERE
    if is_program and row.is_for_people:
        return "NOT_ALLOWED"
    if row.refused_code is not None:
        return row.refused_code
    if caller == PROGRAM_ELSEWHERE and row.is_placeless:
        return "done"
    # Whoever holds nothing at this site is a stranger there, whatever they hold elsewhere or held once.
    at_site = "stranger" if caller in (ELSEWHERE, FORMER) else caller
    if at_site in row.allowed:
        return "done"
    is_seen = "stranger" in row.seen if caller == PROGRAM_ELSEWHERE else at_site in row.seen
    return "NOT_ALLOWED" if is_seen else "NOT_FOUND"


def _content(folder: Path) -> list[tuple[str, list[Any]]]:
    """Every value in the database, by table."""
    with contextlib.closing(sqlite3.connect(folder / "lade.sqlite3")) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return [(name, database.execute(f'SELECT * FROM "{name}"').fetchall()) for (name,) in tables]  # noqa: S608  from the database


# ── subscriptions


@dataclass(eq=False)
class _Listener:
    """A follower that keeps what it is told."""

    payloads: list[dict[str, Any]] = field(default_factory=list)

    def offer(self, key: object, payload: str, cursor: str | None = None, *, stays: bool = False) -> None:
        self.payloads.append(orjson.loads(payload[:-1]))

    def forget(self) -> None:
        self.payloads.clear()

    def end(self, errors: Sequence[dict[str, Any]] = ()) -> None:
        self.payloads += [{"errors": list(errors)}] if errors else []

    def break_off(self) -> None:
        raise AssertionError("the database is there")


@pytest.mark.parametrize("name", STREAMS)
async def test_stream(city: City, name: str) -> None:
    """A hidden target is NOT_FOUND; whoever may follow hears the present state, as far as it is theirs."""
    row = STREAMS[name]
    refused = {
        caller: "UNAUTHENTICATED" if caller == NOT_SIGNED_IN and row.needs_sign_in else "NOT_FOUND"
        for caller in CALLERS
    }
    assert {caller: await _heard(city, name, caller) for caller in CALLERS} == {
        caller: caller in row.hears if caller in row.follows else refused[caller] for caller in CALLERS
    }


async def _heard(city: City, name: str, caller: str) -> bool | str:
    """Whether something is heard, or the code of the refusal."""
    listener, code = await _followed(city, name, await city.access(caller))
    assert not any("errors" in payload for payload in listener.payloads), listener.payloads
    assert code is None or listener.payloads == []
    return code if code is not None else any(_shows(payload) for payload in listener.payloads)


async def _followed(city: City, name: str, access: Access) -> tuple[_Listener, str | None]:
    """What is heard first, or the code of the refusal."""
    row, engine, listener = STREAMS[name], Api().engine(), _Listener()
    kind = row.kind
    given = {"id": global_id(kind, city.nodes[row.at])} if row.at else {}
    document = f"subscription {'($id: ID!)' if row.at else ''} {{ {row.selection} }}"
    try:
        ready = engine.ready(Request(document, given, None))
        audience, _ = await Audiences(engine).of(ready, Caller(access, None, "192.0.2.1"))
        await audience.join(listener, viewer=access.user_id)
        audience.leave(listener)
    except (RefusedError, EdgeError, DomainError) as error:
        return listener, str(told(error)[0]["extensions"]["code"])
    return listener, None
