"""The clients that people use, against a running server: `make test-clients`. Not a part of `make test`: it wants node.

Each follows the chargers of a garage where cars come and go, is cut off, loses its server (kill -9), and comes back with its cursor.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.demo.garage import OWNER
from app.demo.portal import sign_in
from devices.simulator import Fleet
from devices.simulator.plan import ChargerPlan, Habits, Plan
from gql.ids import global_id
from tests.clients.programs import HERE, Program, Relay, running
from tests.live.house import Portal, running_portal
from tests.servers import redis_server

CLIENTS: Final = ("graphql-ws", "apollo", "urql", "graphql-sse")
CUT_S: Final = 2.0
"""How long the way to the server is cut while chargers change."""

Json = dict[str, Any]

NOW = """
query Now($installation: ID!) {
  node(id: $installation) { ... on Installation { chargers(first: 100) { nodes {
    id name status { version mode isOnline powerKw allocatedA sessionEnergyKwh observedAt }
  } } } }
}
"""


def _fleet(portal: Portal) -> Fleet:
    """Half of the garage's chargers, busy: a status changes many times a second."""
    chargers = tuple(
        ChargerPlan(
            identity=space.identity,
            password=space.password,
            rotation=space.rotation,
            habits=Habits(stay_s=(3.0, 8.0), away_s=(0.5, 2.0), id_tags=(space.card,)),
        )
        for space in portal.garage.spaces[:12]
    )
    plan = Plan(
        chargers=chargers,
        sample_every_s=1,
        connect_over_s=0.5,
        call_timeout_s=5.0,
        reconnect_after_s=(0.2, 1.0),
        drain_s=15.0,
    )
    return Fleet(portal.ocpp_url, plan, seed=7)


async def _now(portal: Portal, token: str) -> Json:
    """What a query shows, in the form in which clients keep it."""
    content = {"query": NOW, "variables": {"installation": _installation(portal)}}
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
        answer = (await client.post(f"{portal.http_url}/graphql", json=content)).json()
    assert "errors" not in answer, answer
    nodes = answer["data"]["node"]["chargers"]["nodes"]
    return {one["id"]: {"name": one["name"], **one["status"]} for one in nodes}


def _installation(portal: Portal) -> str:
    return global_id("Installation", portal.garage.installation_id)


def _versions(chargers: Json) -> dict[str, int]:
    return {charger_id: status["version"] for charger_id, status in chargers.items()}


async def _catches_up(program: Program, portal: Portal, token: str) -> None:
    """The client shows everything that the server knew when this was called, or newer."""
    least = _versions(await _now(portal, token))

    def is_as_new(state: Json) -> bool:
        shown = _versions(state["chargers"])
        return shown.keys() == least.keys() and all(shown[one] >= version for one, version in least.items())

    assert await program.shows(is_as_new), (program.counts, _versions(program.state["chargers"]), least)


@asynccontextmanager
async def _busy(portal: Portal) -> AsyncIterator[None]:
    """Inside: cars come and go; afterwards every charger has told all that it had to tell, and is still connected."""
    fleet = _fleet(portal)
    day = asyncio.create_task(fleet.run(duration_s=None), name="fleet")
    try:
        yield
    finally:
        fleet.stop()
        await day


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_comes_back_and_shows_what_the_server_knows(home: Path, name: str) -> None:
    """Nothing older is ever shown, and in the end each status is the server's, however the connection was lost."""
    with redis_server(home) as redis:
        async with running_portal(home, LADE_REDIS_URL=redis) as portal:
            token = await sign_in(portal.graphql_url, OWNER)
            async with Relay(portal.port) as relay:
                url = f"http://127.0.0.1:{relay.port}/graphql"
                async with running(name, url=url, token=token, installation=_installation(portal)) as program:
                    async with _busy(portal):
                        await _catches_up(program, portal, token)
                        await relay.cut()
                        await asyncio.sleep(CUT_S)
                        await relay.open()
                        await _catches_up(program, portal, token)
                        assert program.counts["resyncs"] == 0, "the cursor led nowhere"
                        await portal.kill()
                        await portal.start()
                        await _catches_up(program, portal, token)
                    final = await _now(portal, token)
                    await program.shows(lambda state: bool(state["chargers"] == final))
                    assert program.state["chargers"] == final
    assert program.counts["returns"] >= 2
    assert program.counts["older"] == 0
    assert program.counts["refusals"] == []


def test_the_packages_are_installed() -> None:
    """npm ci has been here."""
    assert (HERE / "node_modules" / "graphql-ws").is_dir(), "make test-clients"
