"""The schema as it is committed, and the values of its scalars."""

from pathlib import Path
from typing import Any

import pytest

from gql.schema import sdl
from tests.factories import Town
from tests.gql.world import World


def test_the_committed_sdl_is_that_of_the_program() -> None:
    """`make schema` writes it."""
    committed = Path(sdl.__file__).with_name("schema.graphql").read_text(encoding="utf-8")
    assert committed == sdl.sdl()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("2026-03-01T12:00:00", "has no offset: write an instant as RFC 3339"),
        ("yesterday", "has no offset"),
        ("2026-13-01T12:00:00Z", "is no DateTime"),
        ("2026-03-01T12:00Z", "is no DateTime"),
        (1_700_000_000, "This is no DateTime"),
    ],
)
async def test_an_instant_needs_its_offset(world: World, value: object, words: str) -> None:
    """The error says how to write it."""
    error = (await _grant_from(world, None, value))["errors"][0]
    assert words in error["message"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def _grant_from(world: World, token: str | None, value: object) -> dict[str, Any]:
    query = (
        "mutation ($from: DateTime) { grantPermission(input: "
        '{subject: {email: "a@example.com"}, objectId: "x", role: USER, validFrom: $from}) { __typename } }'
    )
    return await world.run(query, token, **{"from": value})


async def test_an_instant_with_offset_is_taken(world: World, town: Town) -> None:
    """Any offset; the trouble is then with the object's id."""
    token = await world.token(town.people["OWNER of installation"])
    body = await _grant_from(world, token, "2026-03-01T12:00:00+01:00")
    assert body == {"data": {"grantPermission": {"__typename": "NotFoundError"}}}
