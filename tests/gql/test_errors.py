"""What a client is told of a defect: an id, under which the operator finds it once."""

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from domain import sql
from tests.factories import Town
from tests.gql.world import World, charger


async def test_a_defect_is_masked_and_logged_once_however_many_fields_it_hits(world: World, town: Town) -> None:
    """One batch failed for two rows: the same correlation id twice, one line in the log, no word of the cause outside."""
    token = await world.token(town.people["SERVICE"])
    await sql.execute("ALTER TABLE alerts RENAME TO alerts_elsewhere")
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Charger { status { version } } } }"
    ids = [charger(town.charger_id), charger(town.neighbour_id)]
    with capture_logs() as lines, structlog.contextvars.bound_contextvars(correlation_id="request-17"):
        body = await world.run(query, token, ids=ids)
    assert len(body["errors"]) == 2
    for error in body["errors"]:
        assert error["message"] == "Something went wrong on our side. Tell support the correlation id request-17."
        assert error["extensions"] == {"code": "INTERNAL", "correlationId": "request-17"}
    defects = [line for line in lines if line["log_level"] == "error"]
    assert [line["correlation_id"] for line in defects] == ["request-17"]
    assert defects[0]["exc_info"][0].__name__ == "OperationalError"


@pytest.mark.parametrize(
    "query", ["{ nothing }", "{", "{ installations { nodes { id } } }", "{ nodes(ids: 1.5) { id } }"]
)
async def test_a_clients_mistakes_are_not_in_the_log(world: World, query: str) -> None:
    """They are told to the client, and to nobody else."""
    with capture_logs() as lines:
        assert (await world.run(query))["errors"]
    assert lines == []


async def test_a_mistake_in_one_field_leaves_its_neighbours_whole(world: World, town: Town) -> None:
    """A nullable field is null with an error; rows that it asked for, too, are still given to the others."""
    token = await world.token(town.people["SERVICE"])
    node = """node(id: $id) { ... on Charger {
        sessions(first: 1, after: "x") { nodes { id } } installation { name } circuit { name } } }"""
    query = (
        f"query ($id: ID!) {{ wrong: {node} right: node(id: $id) {{ ... on Charger {{ installation {{ name }} }} }} }}"
    )
    body = await world.run(query, token, id=charger(town.charger_id))
    assert body["data"] == {"wrong": None, "right": {"installation": {"name": "Fjordveien garage"}}}
    assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_USER_INPUT"]
    # What nobody waits for any more ends by itself; not, however, after its database is gone.
    left = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == "dispatch_batch"]
    await asyncio.gather(*left)
