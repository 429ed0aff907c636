"""Things by id: hidden, absent, of another type and damaged look the same."""

from uuid import UUID

import pytest

from domain.ids import new_id
from gql.ids import global_id, parsed
from tests.factories import Town
from tests.gql.world import World, charger, installation

NODE = "query Node($id: ID!) { node(id: $id) { id __typename } }"


@pytest.mark.parametrize("person", ["stranger", "not signed in"])
async def test_hidden_is_absent(world: World, town: Town, person: str) -> None:
    """null without an error, for each of them."""
    token = await world.token(town.people[person]) if person in town.people else None
    ids = [
        installation(town.site.id),
        charger(town.charger_id),
        global_id("User", town.people["SERVICE"]),
        installation(new_id()),
        installation(town.charger_id),
        global_id("Nothing", town.charger_id),
        "",
        "%",
        "x" * 5_000,
        str(town.charger_id),
    ]
    for one in ids:
        assert await world.run(NODE, token, id=one) == {"data": {"node": None}}
    assert await world.run("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", token, ids=ids) == {
        "data": {"nodes": [None] * len(ids)}
    }


async def test_things_come_in_the_order_asked(world: World, town: Town) -> None:
    """Of several types, some of them not there."""
    token = await world.token(town.people["OWNER of installation"])
    ids = [charger(town.neighbour_id), charger(new_id()), installation(town.site.id), charger(town.charger_id)]
    body = await world.run("query ($ids: [ID!]!) { nodes(ids: $ids) { id __typename } }", token, ids=ids)
    shown = [node and (node["id"], node["__typename"]) for node in body["data"]["nodes"]]
    assert shown == [(ids[0], "Charger"), None, (ids[2], "Installation"), (ids[3], "Charger")]


def test_an_id_has_one_way_to_be_written() -> None:
    """So that clients may compare them."""
    identity = UUID("0198c0de-0000-7000-8000-000000000001")
    text = global_id("Charger", identity)
    assert text == "Q2hhcmdlcjowMTk4YzBkZS0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDE"
    assert parsed(text) == ("Charger", identity)
    assert parsed(global_id("Charger", identity).upper()) is None
