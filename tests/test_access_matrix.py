"""The access matrix: what every caller gets at every root field, mutation, subscription and field that leads to another object.

The rows are made from the schema: a field without a row fails. Each cell is a case of its own, on a copy of one world.
"""

import hashlib
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLUnionType, get_named_type

from app.database import Database, opened
from domain import sql
from domain.access import Access
from domain.errors import DomainError
from domain.models import AuditEntry
from gql.audiences import Audiences
from gql.engine import Caller, RefusedError, Request, told
from gql.errors import EdgeError
from gql.ids import global_id
from gql.schema.public import public_schema
from tests.access.city import City, a_city
from tests.access.fields import FIELDS, SEEN_BY
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
    """The full world, for one cell alone."""
    async with _copied(full_world, tmp_path) as found:
        yield found


@pytest.fixture
async def quiet_city(quiet_world: _Made, tmp_path: Path) -> AsyncIterator[City]:
    """The quiet world, for one cell alone."""
    async with _copied(quiet_world, tmp_path) as found:
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


def _cells(rows: Sequence[str]) -> list[Any]:
    return [pytest.param(row, caller, id=f"{row}-{caller}") for row in rows for caller in CALLERS]


# ── fields that lead to another object


@pytest.mark.parametrize(("name", "caller"), _cells([*FIELDS]))
async def test_field(city: City, name: str, caller: str) -> None:
    """What a caller may not see is null, an empty list or an empty page, and never an error."""
    row = FIELDS[name]
    kind, seers = SEEN_BY[row.at]
    if kind:
        document = f"query ($id: ID!) {{ found: node(id: $id) {{ ... on {kind} {{ {row.path} }} }} }}"
        given = {"id": global_id(kind, city.nodes[row.at])}
    else:
        document, given = f"{{ found: {row.at} {{ {row.path} }} }}", {}
    data = await Api().data(await city.access(caller), document, given)
    found = "hidden" if data["found"] is None else "seen" if _shows(data["found"]) else "empty"
    assert found == ("seen" if caller in row.sees else "empty" if caller in seers else "hidden")


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


@pytest.mark.parametrize(("name", "caller"), _cells([*QUERIES]))
async def test_root_field(city: City, name: str, caller: str) -> None:
    """Lists and counts hold what the caller may see; NOT_FOUND where they asked for something hidden by its id."""
    row, town = QUERIES[name], city.town
    variables = {
        "id": charger_id(town.charger_id),
        "hidden": charger_id(town.other_charger_id),
        "site": installation_id(town.site.id),
    }
    given = {variable: value for variable, value in variables.items() if f"${variable}" in row.selection}
    declared = f"({', '.join(f'${variable}: ID!' for variable in given)})" if given else ""
    answer = await Api().ask(await city.access(caller), f"query {declared} {{ {row.selection} }}", given)
    codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
    assert codes == (["NOT_FOUND"] if caller in row.refused else [])
    assert answer["data"][name] == row.expected(town, caller)


# ── mutations


@pytest.mark.parametrize(("name", "caller"), _cells([*MUTATIONS]))
async def test_mutation(quiet_city: City, name: str, caller: str) -> None:
    """Not signed in: UNAUTHENTICATED. Hidden: NOT_FOUND. Seen, but not theirs: NOT_ALLOWED. Refused: not one value has changed.

    Done: one entry in the audit log.
    """
    row, api = MUTATIONS[name], Api()
    given, access = await row.given(quiet_city.town), await quiet_city.access(caller)
    entries, before = await AuditEntry.all().count(), await _fingerprint()
    answer = await api.ask(access, _document(name), {"input": given})
    outcome = _outcome(answer, name)
    assert outcome == _expected(row, caller)
    is_done = outcome == "done"
    assert await AuditEntry.all().count() - entries == int(is_done and row.is_audited)
    if not is_done:
        assert await _fingerprint() == before
        assert api.bus.published == []


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


async def _fingerprint() -> str:
    """Of every value in the database."""
    digest = hashlib.sha256()
    tables = await sql.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    for table in tables:
        for row in await sql.rows(f'SELECT * FROM "{table["name"]}"'):  # noqa: S608  a name from the database
            digest.update(repr(sorted(row.items())).encode())
    return digest.hexdigest()


# ── subscriptions


@dataclass
class _Listener:
    """A follower that keeps what it is told."""

    payloads: list[dict[str, Any]] = field(default_factory=list)

    def offer(self, key: object, payload: str) -> None:
        self.payloads.append(orjson.loads(payload[:-1]))

    def end(self, errors: Sequence[dict[str, Any]] = ()) -> None:
        self.payloads += [{"errors": list(errors)}] if errors else []


@pytest.mark.parametrize(("name", "caller"), _cells([*STREAMS]))
async def test_stream(city: City, name: str, caller: str) -> None:
    """A hidden target is NOT_FOUND; whoever may follow hears the present state, as far as it is theirs."""
    row = STREAMS[name]
    listener, code = await _followed(city, name, await city.access(caller))
    if caller not in row.follows:
        is_unknown = caller == NOT_SIGNED_IN and row.needs_sign_in
        assert code == ("UNAUTHENTICATED" if is_unknown else "NOT_FOUND")
        assert listener.payloads == []
        return
    assert code is None
    assert not any("errors" in payload for payload in listener.payloads), listener.payloads
    assert any(_shows(payload) for payload in listener.payloads) == (caller in row.hears)


async def _followed(city: City, name: str, access: Access) -> tuple[_Listener, str | None]:
    """What is heard first, or the code of the refusal."""
    row, engine, listener = STREAMS[name], Api().engine(), _Listener()
    kind = row.kind
    given = {"id": global_id(kind, city.nodes[row.at])} if row.at else {}
    document = f"subscription {'($id: ID!)' if row.at else ''} {{ {row.selection} }}"
    try:
        ready = engine.ready(Request(document, given, None))
        audience = await Audiences(engine).of(ready, Caller(access, None, "192.0.2.1"))
        await audience.join(listener, is_resync=False)
        audience.leave(listener)
    except (RefusedError, EdgeError, DomainError) as error:
        return listener, str(told(error)[0]["extensions"]["code"])
    return listener, None


def test_how_many_cells_there_are() -> None:
    """Every row meets every caller."""
    rows = len(FIELDS) + len(QUERIES) + len(MUTATIONS) + len(STREAMS)
    assert len(_cells([*FIELDS, *QUERIES, *MUTATIONS, *STREAMS])) == rows * len(CALLERS)
