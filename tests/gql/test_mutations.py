"""Mutations: signed in or not, errors as members of the result, and the same request done once."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import orjson
import pytest

from app.auth import SignedTokens
from domain.idempotency import input_hash
from domain.models import Circuit, IdempotencyKey
from tests.factories import Town, a_person
from tests.gql.world import World, installation

CREATE = """
mutation Create($installation: ID!, $name: String!, $key: String) {
  createCircuit(input: { installationId: $installation, name: $name, breakerA: {l1: 16, l2: 16, l3: 16}, idempotencyKey: $key }) {
    __typename
    ... on CircuitSuccess { circuit { id name } }
    ... on UserError { code message path }
    ... on ValidationError { fields { path code } }
  }
}
"""


async def _create(world: World, token: str | None, town: Town, **values: Any) -> dict[str, Any]:
    variables = {"installation": installation(town.site.id), "name": "Circuit B", **values}
    body = await world.run(CREATE, token, **variables)
    assert "errors" not in body, body
    answer: dict[str, Any] = body["data"]["createCircuit"]
    return answer


async def test_the_same_key_and_input_are_done_once(world: World, town: Town) -> None:
    """The second answer is the first one's, read again."""
    token = await world.token(town.people["SERVICE"])
    first = await _create(world, token, town, key="once")
    assert first["__typename"] == "CircuitSuccess"
    assert await _create(world, token, town, key="once") == first
    assert await Circuit.filter(name="Circuit B").count() == 1


async def test_the_same_request_twice_at_once_is_done_once(world: World, town: Town) -> None:
    """The one that came second waits for the first."""
    token = await world.token(town.people["SERVICE"])
    both = asyncio.gather(*(_create(world, token, town, key="twice") for _ in range(2)))
    while not both.done():
        # The clock of the test goes no faster than the wall's: a busy machine must not run into the waiting time.
        await asyncio.sleep(0.001)
        world.clock.advance(timedelta(milliseconds=1))
    first, second = both.result()
    assert first == second
    assert first["__typename"] == "CircuitSuccess"
    assert await Circuit.filter(name="Circuit B").count() == 1


async def test_a_key_belongs_to_its_input_its_person_and_its_day(world: World, town: Town) -> None:
    """Another input is refused; another person's key, or the same a day later, is another key."""
    token = await world.token(town.people["SERVICE"])
    await _create(world, token, town, key="k")
    refused = await _create(world, token, town, key="k", name="Circuit C")
    assert (refused["__typename"], refused["code"]) == ("ConflictError", "KEY_REUSED")
    assert refused["path"] == ["idempotencyKey"]
    other = await _create(world, await world.token(town.people["ADMINISTRATOR"]), town, key="k", name="Circuit D")
    assert other["__typename"] == "CircuitSuccess"
    world.clock.advance(timedelta(hours=24))
    later = await _create(world, await world.token(town.people["SERVICE"]), town, key="k", name="Circuit E")
    assert later["__typename"] == "CircuitSuccess"


CHANGE_PASSWORD = """
mutation ($current: String!, $new: String!) {
  changePassword(input: { currentPassword: $current, newPassword: $new, idempotencyKey: "k" }) { __typename }
}
"""


async def test_what_is_kept_of_an_input_is_keyed(world: World, town: Town) -> None:
    """Whoever reads the database tries no passwords on it: without the server's secret key the digest is another."""
    person = await a_person("Kari", password="nine copper wires")
    words = {"current": "nine copper wires", "new": "seven boats at dawn"}
    body = await world.run(CHANGE_PASSWORD, await world.token(person), **words)
    assert body == {"data": {"changePassword": {"__typename": "DoneSuccess"}}}
    content = orjson.dumps({"current_password": words["current"], "new_password": words["new"]})
    kept = (await IdempotencyKey.get(mutation="changePassword")).input_hash
    assert kept != hashlib.sha256(content).hexdigest()
    assert kept == input_hash(content, tokens=world.tokens)
    assert kept != input_hash(content, tokens=SignedTokens("another server"))


async def test_trouble_frees_the_key(world: World, town: Town) -> None:
    """Nothing was done: the corrected request may use it."""
    token = await world.token(town.people["SERVICE"])
    wrong = await _create(world, token, town, key="k", name="")
    assert (wrong["__typename"], wrong["path"]) == ("ValidationError", ["name"])
    assert wrong["fields"] == [{"path": ["name"], "code": "INVALID"}]
    assert (await _create(world, token, town, key="k"))["__typename"] == "CircuitSuccess"


@pytest.mark.parametrize("key", ["", "k" * 201])
async def test_a_key_has_a_length(world: World, town: Town, key: str) -> None:
    """Not empty, and not a way to fill our tables."""
    wrong = await _create(world, await world.token(town.people["SERVICE"]), town, key=key)
    assert (wrong["__typename"], wrong["path"]) == ("ValidationError", ["idempotencyKey"])


async def test_who_is_not_signed_in_changes_nothing(world: World, town: Town) -> None:
    """UNAUTHENTICATED, at the top."""
    body = await world.run(CREATE, installation=installation(town.site.id), name="Circuit B")
    assert body["data"] is None
    assert body["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert await Circuit.filter(name="Circuit B").count() == 0


async def test_hidden_is_not_found_and_seen_is_not_allowed(world: World, town: Town) -> None:
    """NotAllowedError only about what the viewer can see."""
    owner = await world.token(town.people["OWNER of installation"])
    assert (await _create(world, owner, town))["__typename"] == "NotAllowedError"
    stranger = await world.token(town.people["stranger"])
    hidden = await _create(world, stranger, town)
    absent = await _create(world, stranger, town, installation="x")
    assert hidden["__typename"] == "NotFoundError"
    assert hidden == absent
