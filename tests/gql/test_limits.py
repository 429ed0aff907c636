"""How large an operation may be: each limit, its code and its words."""

from datetime import timedelta
from typing import Any

import pytest
from graphql import get_introspection_query

from app.redis_bus import RedisBus
from gql.engine import Request
from tests.factories import Town, a_session
from tests.gql.asking import Api
from tests.gql.world import World

PAGES = (
    "query Pages($first: Int) { installations(first: $first) { nodes { chargers(first: $first) { nodes { id } } } } }"
)


@pytest.mark.parametrize(
    ("query", "variables", "code", "words"),
    [
        ("{ installations { nodes { id } } }", {}, "BAD_USER_INPUT", "needs either `first` or `last`, from 1 to 100"),
        (
            "{ installations(first: 10000) { nodes { id } } }",
            {},
            "BAD_USER_INPUT",
            "must be from 1 to 100; get more with",
        ),
        ("{ installations(first: 0) { nodes { id } } }", {}, "BAD_USER_INPUT", "must be from 1 to 100"),
        (
            "{ installations(last: -1) { nodes { id } } }",
            {},
            "BAD_USER_INPUT",
            "`last` of `installations` must be from 1",
        ),
        ("{ installations(first: 1, last: 1) { nodes { id } } }", {}, "BAD_USER_INPUT", "needs either"),
        (PAGES, {"first": 101}, "BAD_USER_INPUT", "must be from 1 to 100"),
        (PAGES, {}, "BAD_USER_INPUT", "needs either"),
        (PAGES, {"first": None}, "BAD_USER_INPUT", "needs either"),
        (PAGES, {"first": "ten"}, "BAD_USER_INPUT", "`$first` must be a whole number from 1 to 100"),
        (PAGES, {"first": True}, "BAD_USER_INPUT", "`$first` must be a whole number"),
        (PAGES, {"first": 100.0}, "COST_EXCEEDED", "more than the 10,000 of one operation"),
        (PAGES, {"first": 100}, "COST_EXCEEDED", "more than the 10,000 of one operation"),
        ("{" + " ".join(f"a{i}: rateLimit {{ cost }}" for i in range(31)) + "}", {}, "BAD_USER_INPUT", "31 aliases"),
        ("{" + "rateLimit { cost } " * 21 + "}", {}, "BAD_USER_INPUT", "21 fields at the root, more than 20"),
        ("{" + "rateLimit { cost } " * 700 + "}", {}, "BAD_USER_INPUT", "more than 2000 tokens"),
        (
            "{ chargers(first: 1) { nodes { "
            + "installation { chargers(first: 1) { nodes { " * 4
            + "id"
            + " } } }" * 4
            + " } } }",
            {},
            "BAD_USER_INPUT",
            "levels deep, more than 12",
        ),
        ("{" * 900 + "}" * 900, {}, "BAD_USER_INPUT", ""),
        ("{ nodes(ids: [" + '"x",' * 101 + "]) { id } }", {}, "BAD_USER_INPUT", "At most 100 ids at once"),
        ("query ($at: DateTime!) { chargers(first: 1) { nodes { viewerRoles } } }", {}, "BAD_USER_INPUT", "$at"),
        ('{ chargers(first: 1, after: "x") { nodes { id } } }', {}, "BAD_USER_INPUT", "not a cursor of this list"),
    ],
)
async def test_each_limit_says_what_to_do(
    world: World, town: Town, query: str, variables: dict[str, Any], code: str, words: str
) -> None:
    """The operation is refused as a whole; its error says which limit and what to do."""
    token = await world.token(town.people["OWNER of installation"])
    error = (await world.run(query, token, **variables))["errors"][0]
    assert error["extensions"]["code"] == code
    assert words in error["message"]


async def test_fragments_are_counted_as_often_as_they_are_spread(world: World, town: Town) -> None:
    """A few lines that stand for very many objects are seen through, at once."""
    levels = " ".join(
        f"fragment f{n} on Installation {{ chargers(first: 100) {{ nodes {{ installation {{ ...f{n + 1} }} }} }} }}"
        for n in range(3)
    )
    query = "{ installations(first: 1) { nodes { ...f0 } } } " + levels + " fragment f3 on Installation { id }"
    assert (await world.run(query))["errors"][0]["extensions"]["code"] == "COST_EXCEEDED"


async def test_introspection_is_open_and_costs_one_point(world: World) -> None:
    """The types are public; tools ask for them in one deep operation."""
    body = await world.run(get_introspection_query(input_value_deprecation=True))
    assert "errors" not in body


async def test_the_cost_is_known_and_the_points_of_a_minute_run_out(bus: RedisBus, town: Town) -> None:
    """rateLimit says what is left; then RATE_LIMITED says when to come back; others have their own points."""
    world = World(bus, points_per_minute=30)
    token = await world.token(town.people["SERVICE"])
    query = "{ chargers(first: 10) { nodes { id } } rateLimit { limit remaining cost resetAt } }"
    limits = {"limit": 30, "cost": 13, "resetAt": "2026-03-01T12:01:00Z"}
    assert (await world.run(query, token))["data"]["rateLimit"] == {**limits, "remaining": 17}
    assert (await world.run(query, token))["data"]["rateLimit"] == {**limits, "remaining": 4}
    refused = await world.http(token=token, json={"query": query})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert refused.json()["errors"][0]["extensions"] == {"code": "RATE_LIMITED", "retryAfterSeconds": 60, "cost": 13}
    other = await world.token(town.people["ADMINISTRATOR"])
    assert (await world.run(query, other))["data"]["rateLimit"]["remaining"] == 17
    world.clock.advance(timedelta(minutes=1))
    assert (await world.run(query, token))["data"]["rateLimit"]["remaining"] == 17


FILTERED = "query ($where: ChargeSessionWhere) { sessions(first: 1, where: $where) { totalCount } }"


def _deep(levels: int) -> dict[str, Any]:
    where: dict[str, Any] = {}
    for _ in range(levels):
        where = {"AND": [where]}
    return where


def _deep_literal(levels: int) -> str:
    return f"{{ sessions(first: 1, where: {'{AND: [' * levels}{{}}{']}' * levels}) {{ totalCount }} }}"


@pytest.mark.parametrize(
    ("query", "variables", "words"),
    [
        (FILTERED, {"where": _deep(150)}, "nested more than 24 levels deep"),
        (_deep_literal(40), {}, "nested more than 24 levels deep"),
        (FILTERED, {"where": _deep(6)}, "at most 4 levels"),
        (FILTERED, {"where": {"externalId": {"eq": "a\0b"}}}, "null character"),
        (FILTERED, {"where": {"AND": [{"externalId": {"oneOf": ["\0"]}}]}}, "null character"),
        ('{ node(id: "\\u0000") { id } }', {}, "null character"),
        (
            'query ($text: String = "\\u0000") { installations(first: 1, where: { name: { eq: $text } }) { totalCount } }',
            {},
            "null",
        ),
        ('mutation { signIn(input: { email: "a\\u0000", password: "b" }) { __typename } }', {}, "null character"),
        (FILTERED, {"where": {"energyKwh": {"gte": "9e999999"}}}, "is too large or too small"),
        (FILTERED, {"where": {"energyKwh": {"gte": "1e-999999"}}}, "is too large or too small"),
    ],
)
async def test_values_that_break_databases_are_refused(
    world: World, town: Town, query: str, variables: dict[str, Any], words: str
) -> None:
    """Nothing in a value leads to a defect: the client is told what to mend."""
    body = await world.run(query, await world.token(town.people["SERVICE"]), **variables)
    assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_USER_INPUT"]
    assert words in body["errors"][0]["message"]


async def test_energy_far_in_the_future_is_none(world: World, town: Town) -> None:
    """The last instant that there is has no 31 days after it."""
    person = town.people["OWNER of installation"]
    await a_session(town.site, town.charger_id, user_id=person)
    query = '{ sessions(first: 1) { nodes { energyDetails(from: "9999-12-31T23:59:59Z") { energyKwh } } } }'
    body = await world.run(query, await world.token(person))
    assert body == {"data": {"sessions": {"nodes": [{"energyDetails": []}]}}}


SUMMARY = 'usageSummary(period: { from: "2026-01-01", to: "2026-02-01" }) { total { sessionCount } }'


@pytest.mark.parametrize(
    ("query", "ids", "cost"),
    [
        ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } rateLimit { cost } }", 3, 5),
        (
            "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Charger { sessions(first: 4) { nodes { id } } } } rateLimit { cost } }",
            3,
            20,
        ),
        ('{ nodes(ids: ["a", "b"]) { id } rateLimit { cost } }', 0, 4),
        (f"{{ viewer {{ {SUMMARY} }} rateLimit {{ cost }} }}", 0, 1_004),
    ],
)
async def test_what_is_dear_costs_more(world: World, town: Town, query: str, ids: int, cost: int) -> None:
    """Things asked for by id count one by one, and a summary counts as the thousands of sessions that it reads."""
    given = {"ids": ["x"] * ids} if ids else {}
    body = await world.run(query, await world.token(town.people["stranger"]), **given)
    assert body["data"]["rateLimit"] == {"cost": cost}


async def test_a_summary_for_each_row_is_refused(world: World, town: Town) -> None:
    """A hundred of them would keep the server busy for a minute."""
    query = f"{{ sessions(first: 100) {{ nodes {{ installation {{ {SUMMARY} }} }} }} }}"
    body = await world.run(query, await world.token(town.people["OWNER of installation"]))
    assert body["errors"][0]["extensions"]["code"] == "COST_EXCEEDED"


def test_a_long_document_is_not_kept() -> None:
    """Nobody fills the memory with documents that are asked once."""
    engine = Api().engine()
    short, long = "{ rateLimit { cost } }", f"{{ rateLimit {{ cost }} }} # {'x' * 16_000}"
    assert engine.ready(Request(short, {}, None)).document is engine.ready(Request(short, {}, None)).document
    assert engine.ready(Request(long, {}, None)).document is not engine.ready(Request(long, {}, None)).document
