"""Rights that end in one process end the streams of another at once."""

import asyncio
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from app.database import Database, opened
from app.demo.garage import ADMINISTRATOR, OWNER, Garage, make_garage
from app.demo.portal import Json, PortalError, portal_of, sign_in
from app.demo.portal import Portal as Socket
from domain.clock import SystemClock
from gql.ids import global_id
from tests.conftest import BACKENDS
from tests.live.house import Portal
from tests.live.test_roles import SECRET

HEARD_WITHIN_S = 10.0
STREAMS = {
    "chargerStatus": "subscription($site: ID!) { chargerStatus(target: {installationId: $site}) { kind } }",
    "sessionChanged": "subscription($site: ID!) { sessionChanged(target: {installationId: $site}) { kind } }",
}
GRANTS = """
query($site: ID!) { node(id: $site) { ... on Installation { permissions(first: 100) {
  nodes { id role subject { ... on User { email } } } } } } }
"""
REVOKE = """
mutation($id: ID!) { revokePermission(input: {permissionId: $id}) { __typename ... on UserError { code message } } }
"""


class Stream:
    """A subscription that is followed to its end."""

    def __init__(self) -> None:
        self.is_ready = asyncio.Event()
        self.ended: asyncio.Future[tuple[float, str]] = asyncio.get_running_loop().create_future()

    async def follow(self, socket: Socket, document: str, **given: Any) -> None:
        """Until its end, whose instant and words are kept."""
        words = ""
        try:
            async for data in socket.follow(document, **given):
                (event,) = data.values()
                if event["kind"] == "READY":
                    self.is_ready.set()
        except PortalError as error:
            words = str(error)
        self.ended.set_result((perf_counter(), words))


async def _grants_of(administrator: Socket, site: str, email: str) -> list[Json]:
    nodes = (await administrator.ask(GRANTS, site=site))["node"]["permissions"]["nodes"]
    return [node for node in nodes if node["subject"].get("email") == email]


@pytest.fixture
async def garage(database_location: Database) -> Garage:
    """A garage with people in it."""
    async with opened(database_location):
        return await make_garage(secret_key=SECRET, now=SystemClock().now(), seed=1)


@pytest.mark.parametrize("backend", [backend for backend in BACKENDS if backend == "postgresql"])
async def test_a_revoked_permission_ends_streams_of_another_process(
    database_location: Database, redis_url: str, garage: Garage, tmp_path: Path, record_property: Any
) -> None:
    """Both streams end with a reason; how soon is recorded."""
    settings = {
        "LADE_DATABASE_URL": str(database_location.postgresql_url),
        "LADE_REDIS_URL": redis_url,
        "LADE_SECRET_KEY": SECRET,
        "LADE_DATA_DIR": str(tmp_path / "shared"),
    }
    portals = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        portals.append(Portal(tmp_path / name, garage, roles="api", settings=settings))
    site = global_id("Installation", garage.installation_id)
    try:
        await asyncio.gather(*(portal.start() for portal in portals))
        here, there = portals
        async with (
            portal_of(here.graphql_url, await sign_in(here.graphql_url, ADMINISTRATOR)) as administrator,
            portal_of(there.graphql_url, await sign_in(there.graphql_url, OWNER)) as owner,
        ):
            streams = {name: Stream() for name in STREAMS}
            async with asyncio.TaskGroup() as following:
                for name, stream in streams.items():
                    following.create_task(stream.follow(owner, STREAMS[name], site=site))
                async with asyncio.timeout(HEARD_WITHIN_S):
                    await asyncio.gather(*(stream.is_ready.wait() for stream in streams.values()))
                grants = await _grants_of(administrator, site, OWNER.email)
                began = perf_counter()
                for grant in grants:
                    answer = await administrator.ask(REVOKE, id=grant["id"])
                    assert answer["revokePermission"]["__typename"] == "PermissionSuccess"
                async with asyncio.timeout(HEARD_WITHIN_S):
                    for name, stream in streams.items():
                        ended_at, words = await stream.ended
                        assert words == "Your access to this has ended."
                        record_property(f"{name} ended after ms", round((ended_at - began) * 1000))
    finally:
        await asyncio.gather(*(portal.stop() for portal in portals if portal.process is not None))
