"""GraphQL over HTTP: what is taken, what is refused, and with which words."""

from typing import Any

import pytest

from gql.limits import MAX_BODY_BYTES
from tests.factories import Town
from tests.gql.world import PUBLIC_URL, World

WHO = "{ viewer { user { name } } }"


async def test_a_signed_in_person_is_the_viewer(world: World, town: Town) -> None:
    """The token says who; the answer is GraphQL's own media type."""
    response = await world.http(token=await world.token(town.people["SERVICE"]), json={"query": WHO})
    assert response.json() == {"data": {"viewer": {"user": {"name": "SERVICE"}}}}
    assert response.headers["content-type"] == "application/graphql-response+json"
    assert response.headers["cache-control"] == "no-store"


async def test_nobody_is_no_viewer_and_sees_empty_lists(world: World, town: Town) -> None:
    """Without a token queries answer as for one who holds nothing."""
    assert await world.run("{ viewer { user { name } } installations(first: 5) { nodes { id } totalCount } }") == {
        "data": {"viewer": None, "installations": {"nodes": [], "totalCount": 0}}
    }


async def test_queries_may_be_sent_with_get_and_mutations_not(world: World, town: Town) -> None:
    """A link or an image of another site can change nothing."""
    assert (await world.http("GET", params={"query": WHO})).json() == {"data": {"viewer": None}}
    refused = await world.http(
        "GET", params={"query": "mutation { signOut(input: {}) { ... on DoneSuccess { isDone } } }"}
    )
    assert refused.status_code == 405
    assert refused.headers["allow"] == "POST"
    assert refused.json()["errors"][0]["message"] == "Only queries may be sent with GET: POST this operation."


async def test_a_client_of_plain_json_is_answered_in_plain_json(world: World) -> None:
    """GraphQL over HTTP, 6.4.1: there, errors of the request come with 200."""
    response = await world.http(json={"query": "{ nothing }"}, headers={"Accept": "application/json"})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    response = await world.http(json={"query": "{ nothing }"})
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("request_parts", "status", "words"),
    [
        ({"data": {"query": WHO}}, 415, "Content-Type: application/json"),
        ({"content": WHO, "headers": {"Content-Type": "text/plain"}}, 415, "Content-Type: application/json"),
        ({"files": {"operations": b"{}"}}, 415, "Content-Type: application/json"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "The body is no JSON"),
        ({"json": [{"query": WHO}]}, 400, "Batches are not taken here"),
        ({"json": "hello"}, 400, "Send a JSON object"),
        ({"json": {"query": ""}}, 400, "`query` is missing"),
        ({"json": {"query": WHO, "variables": [1]}}, 400, "`variables` is a JSON object"),
        ({"json": {"query": WHO, "operationName": 1}}, 400, "`operationName` is a string"),
        ({"json": {"query": WHO, "operationName": "Other"}}, 400, "There is no operation 'Other'"),
        ({"json": {"query": "query A { rateLimit { cost } } query B { rateLimit { cost } }"}}, 400, "Say which with"),
        ({"json": {"query": "subscription { accessChanged { at } }"}}, 400, "Subscriptions run over WebSocket"),
        ({"json": {"query": "{ viewer { user { nam } } }"}}, 400, "Cannot query field 'nam' on type 'User'."),
        ({"json": {"query": WHO}, "headers": {"Origin": "https://evil.example"}}, 403, "LADE_PUBLIC_URL"),
        ({"json": {"query": WHO}, "headers": {"Origin": "null"}}, 403, "LADE_PUBLIC_URL"),
        ({"json": {"query": WHO}, "headers": {"Authorization": "Basic eDp5"}}, 401, "Authorization: Bearer"),
        ({"json": {"query": WHO}, "headers": {"Authorization": "Bearer x.y.z"}}, 401, "not valid"),
    ],
)
async def test_what_is_no_good_request_is_refused_with_what_to_do(
    world: World, request_parts: dict[str, Any], status: int, words: str
) -> None:
    """Each refusal is one GraphQL error with a status, a code and advice; field names are not suggested."""
    response = await world.http(**request_parts)
    assert response.status_code == status
    error = response.json()["errors"][0]
    assert words in error["message"]
    assert "Did you mean" not in error["message"]
    assert error["extensions"]["code"] == ("UNAUTHENTICATED" if status == 401 else "BAD_USER_INPUT")
    assert response.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


async def test_pages_of_our_own_address_may_call(world: World) -> None:
    """A browser that was served by us says our own origin."""
    response = await world.http(json={"query": WHO}, headers={"Origin": PUBLIC_URL})
    assert response.status_code == 200


async def test_a_body_that_is_too_large_is_not_read(world: World) -> None:
    """Whether or not its length is said."""

    async def chunks() -> object:
        for _ in range(5):
            yield b" " * (MAX_BODY_BYTES // 4)

    for content in (b" " * (MAX_BODY_BYTES + 1), chunks()):
        response = await world.http(content=content, headers={"Content-Type": "application/json"})
        assert response.status_code == 413
        assert response.json()["errors"][0]["message"] == "The request is larger than 256 KiB: send less at once."


async def test_who_shows_a_valid_token_may_send_a_table(world: World, town: Town) -> None:
    """Up to 2 MiB, in variables; the text of the operation stays small."""
    token = await world.token(town.people["SERVICE"])
    query = "query ($name: String) { installations(first: 1, where: {name: {eq: $name}}) { totalCount } }"
    long = "x" * (2 * MAX_BODY_BYTES)
    response = await world.http(token=token, json={"query": query, "variables": {"name": long}})
    assert response.json() == {"data": {"installations": {"totalCount": 0}}}
    for other, status in ((None, 413), ("x.y.z", 401)):
        response = await world.http(token=other, json={"query": query, "variables": {"name": long}})
        assert response.status_code == status
    response = await world.http(token=token, json={"query": query, "variables": {"name": long * 8}})
    assert response.json()["errors"][0]["message"] == "The request is larger than 2048 KiB: send less at once."
    response = await world.http(token=token, json={"query": f"{query} #{long}", "variables": {}})
    assert "put long values into variables" in response.json()["errors"][0]["message"]


async def test_an_ended_sign_in_is_told_as_such(world: World, town: Town) -> None:
    """A token outlives its sign-in by its signature only."""
    token = await world.token(town.people["SERVICE"])
    assert await world.run("mutation { signOut(input: {}) { ... on DoneSuccess { isDone } } }", token) == {
        "data": {"signOut": {"isDone": True}}
    }
    response = await world.http(token=token, json={"query": WHO})
    assert response.status_code == 401
    assert response.json()["errors"][0]["message"] == "This sign-in has ended. Sign in again."
