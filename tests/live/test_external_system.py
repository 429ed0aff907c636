"""Another company's system decides who charges: its programs are those of docs/api.md, as they are written there."""

import asyncio
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.demo.garage import OWNER, Garage
from app.demo.portal import Json, portal_of, sign_in
from app.demo.portal import Portal as Socket
from gql.ids import global_id
from tests.live.charge_point import charge_point
from tests.live.house import Portal, environment, running_portal
from tests.servers import free_port

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
HAPPENS_WITHIN_S = 90.0
"""Beyond the minute after which an event is free again that a killed portal had in hand."""
ROOM_KEY = "04A1B2C3D4E5F6"
OTHER_CARD = "99FFFFFFFF"
"""Not one of the system's."""

NEW_ACCOUNT = """
mutation($site: ID!) { createServiceAccount(input: {installationIds: [$site], name: "Hotel booking",
  scopes: [MANAGE_PERMISSIONS, MANAGE_CARDS, AUTHORIZE_CHARGING]}) {
  ... on ServiceAccountSuccess { serviceAccount { id } } ... on UserError { code message } } }
"""
NEW_TOKEN = """
mutation($account: ID!) { createApiToken(input: {serviceAccountId: $account, name: "Server"}) {
  ... on ApiTokenSuccess { secret } ... on UserError { code message } } }
"""
CONFIGURE = """
mutation($input: ConfigureExternalAuthenticationInput!) { configureExternalAuthentication(input: $input) {
  ... on AuthenticationSuccess { webhookSecret installation { authentication { mode external { mode } } } }
  ... on UserError { code message } } }
"""
PREFLIGHT = """
mutation($site: ID!) { testExternalAuthentication(input: {installationId: $site}) {
  ... on PreflightSuccess { isPassed checks { name isPassed detail } } ... on UserError { code message } } }
"""
ATTEMPTS = """
query($site: ID!) { node(id: $site) { ... on Installation { authorizationAttempts(first: 20) { nodes {
  credential decision decidedBy reason session { id flags externalId } } } } } }
"""


def program(name: str) -> str:
    """The program of that name, as it stands in the document."""
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (found,) = (block for block in blocks if block.startswith(f"# {name}"))
    return str(found)


@asynccontextmanager
async def running(name: str, portal: Portal, **given: str) -> AsyncIterator["Lines"]:
    """Inside: that program of the document runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-c",
        program(name),
        env={**environment(portal.home), **given},
        stdin=DEVNULL,
        stdout=PIPE,
    )
    lines = Lines(process)
    reading = asyncio.create_task(lines.read(), name=name)
    try:
        yield lines
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        await reading


class Lines:
    """What a program prints, a JSON value a line."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.said: list[Any] = []
        self._more = asyncio.Condition()

    async def read(self) -> None:
        """Until it ends."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            async with self._more:
                self.said.append(orjson.loads(line))
                self._more.notify_all()

    async def until(self, wanted: Callable[[list[Any]], bool]) -> list[Any]:
        """All that it said, from when that is as wanted."""
        try:
            async with asyncio.timeout(HAPPENS_WITHIN_S), self._more:
                await self._more.wait_for(lambda: wanted(self.said))
        except TimeoutError as error:
            raise AssertionError(f"what was wanted was not said: {self.said}") from error
        return self.said


class Site:
    """A portal with an owner at its controls, and the system's token."""

    def __init__(self, portal: Portal, owner: Socket, token: str) -> None:
        self.portal = portal
        self.garage: Garage = portal.garage
        self.id = global_id("Installation", portal.garage.installation_id)
        self.owner = owner
        self.system = {"LADE_URL": portal.http_url, "LADE_TOKEN": token, "LADE_INSTALLATION": self.id}

    async def configure(self, **given: Any) -> Json:
        """The setting, as it is now."""
        answer = (await self.owner.ask(CONFIGURE, input={"installationId": self.id, **given}))[
            "configureExternalAuthentication"
        ]
        assert "code" not in answer, answer
        result: Json = answer
        return result

    async def attempts(self) -> list[Json]:
        """What came of the attempts to charge, newest first."""
        found: list[Json] = (await self.owner.ask(ATTEMPTS, site=self.id))["node"]["authorizationAttempts"]["nodes"]
        return found

    def charger(self) -> Any:
        """A charge point of the first space, connected."""
        return charge_point(self.portal.ocpp_url, self.garage.spaces[0])


@pytest.fixture
async def site(home: Path) -> AsyncIterator[Site]:
    """A garage whose owner lets a system in."""
    async with running_portal(home, LADE_CALL_OUT_ALLOW="127.0.0.0/8") as portal:
        token = await sign_in(portal.graphql_url, OWNER)
        async with portal_of(portal.graphql_url, token) as owner:
            site_id = global_id("Installation", portal.garage.installation_id)
            account = (await owner.ask(NEW_ACCOUNT, site=site_id))["createServiceAccount"]
            made = (await owner.ask(NEW_TOKEN, account=account["serviceAccount"]["id"]))["createApiToken"]
            yield Site(portal, owner, made["secret"])


async def _eventually(look: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool]) -> Any:
    """What is found by looking, from when it is as wanted."""
    found = None
    try:
        async with asyncio.timeout(HAPPENS_WITHIN_S):
            while not wanted(found := await look()):  # noqa: ASYNC110  there is no stream of it
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise AssertionError(f"what was wanted did not come: {found}") from error
    return found


async def test_what_is_pushed_may_charge(site: Site) -> None:
    """The guest's card is taken by the portal itself; pushing the same again changes nothing."""
    answers = []
    for _ in range(2):
        async with running("push.py", site.portal, **site.system) as push:
            await push.until(lambda said: len(said) == 1)
            answers.append(push.said[0])
            assert await push.process.wait() == 0
    assert answers[0] == answers[1]
    assert answers[0]["guest"]["user"]["externalId"] == "booking-4711"
    async with site.charger() as charger:
        assert await charger.authorize(ROOM_KEY) == "Accepted"
        assert await charger.authorize(OTHER_CARD) == "Invalid"
    newest, oldest = await site.attempts()
    assert (oldest["decision"], oldest["decidedBy"]) == ("ACCEPTED", "NATIVE")
    assert (newest["decision"], newest["decidedBy"]) == ("INVALID", "NATIVE")
    assert ROOM_KEY not in str(oldest)


async def test_a_subscriber_answers(site: Site) -> None:
    """Its first answer decides, names the session by its own id, and serves for the time that it says."""
    await site.configure(mode="ENFORCE", force=True)
    async with running("answer.py", site.portal, **site.system) as answering, site.charger() as charger:
        assert await charger.authorize(ROOM_KEY) == "Accepted"
        assert await charger.authorize(OTHER_CARD) == "Invalid"
        transaction, word = await charger.start(ROOM_KEY)
        assert word == "Accepted"
        await charger.stop(transaction)
        said = await answering.until(lambda said: len(said) == 2)
        assert [one["request"]["decidedBy"] for one in said] == ["SUBSCRIBER", "SUBSCRIBER"]
        assert await charger.authorize(ROOM_KEY) == "Accepted"
        assert len(answering.said) == 2
    decided = {(one["decision"], one["decidedBy"]) for one in await site.attempts()}
    assert ("ACCEPTED", "SUBSCRIBER") in decided
    assert ("INVALID", "SUBSCRIBER") in decided
    sessions = [one["session"] for one in await site.attempts() if one["session"]]
    assert {session["externalId"] for session in sessions} == {f"stay-{ROOM_KEY}"}


async def test_a_subscriber_that_was_away_finds_what_waits(site: Site) -> None:
    """A question that came while the program was down is answered when it is back, in time."""
    await site.configure(mode="ENFORCE", force=True, timeoutSeconds=15)
    async with site.charger() as charger:
        asking = asyncio.create_task(charger.authorize(ROOM_KEY))
        await asyncio.sleep(0.5)
        async with running("answer.py", site.portal, **site.system):
            assert await asking == "Accepted"


@asynccontextmanager
async def called_out(site: Site, **given: Any) -> AsyncIterator[tuple[Lines, dict[str, str]]]:
    """Inside: the document's server is asked by the portal, which does as it says. Also what starts it again."""
    port = free_port()
    secret = (await site.configure(url=f"http://127.0.0.1:{port}/lade", **given))["webhookSecret"]
    system = {"LADE_WEBHOOK_SECRET": secret, "PORT": str(port)}
    async with running("call_out.py", site.portal, **system) as server:
        checked = await _eventually(
            lambda: site.owner.ask(PREFLIGHT, site=site.id),
            lambda answer: answer["testExternalAuthentication"].get("isPassed", False),
        )
        assert all(check["isPassed"] for check in checked["testExternalAuthentication"]["checks"])
        settings = await site.configure(mode="ENFORCE")
        assert settings["installation"]["authentication"] == {"mode": "EXTERNAL", "external": {"mode": "ENFORCE"}}
        yield server, system


async def test_a_call_out_answers_and_hears_of_charges_through_kills(site: Site) -> None:
    """Neither a kill of the portal nor one of the system loses an event, changes their order, or changes an event's id."""
    async with called_out(site) as (server, system):
        async with site.charger() as charger:
            assert await charger.authorize(ROOM_KEY) == "Accepted"
            assert await charger.authorize(OTHER_CARD) == "Invalid"
            transaction, _ = await charger.start(ROOM_KEY)
            await server.until(lambda said: [one["type"] for one in said] == ["session.started"])
            first = server.said[0]
            server.process.kill()
            await charger.stop(transaction)
        await site.portal.kill()
        await site.portal.start()
        async with running("call_out.py", site.portal, **system) as again:
            await again.until(lambda said: "session.ended" in [one["type"] for one in said])
            heard = [first, *again.said]
    types = [one["type"] for one in heard if one["id"] != first["id"] or one is first]
    assert types[0] == "session.started"
    assert types[-1] == "session.ended"
    assert len({one["id"] for one in heard if one["type"] == "session.ended"}) == 1
    assert len({one["data"]["session"]["id"] for one in heard}) == 1


@pytest.mark.parametrize(
    ("policy", "pushed", "unknown"),
    [("DENY", "Invalid", "Invalid"), ("ALLOW_KNOWN", "Accepted", "Invalid"), ("ALLOW_ALL", "Accepted", "Accepted")],
)
async def test_what_holds_while_the_system_is_away(site: Site, policy: str, pushed: str, unknown: str) -> None:
    """DENY: nobody. ALLOW_KNOWN: those who were pushed. ALLOW_ALL: everybody; what is accepted so is marked in the session."""
    async with running("push.py", site.portal, **site.system) as push:
        assert await push.process.wait() == 0
    async with called_out(site, failPolicy=policy, timeoutSeconds=1) as (server, _):
        server.process.kill()
        await server.process.wait()
        async with site.charger() as charger:
            assert await charger.authorize(ROOM_KEY) == pushed
            assert await charger.authorize(OTHER_CARD) == unknown
            if pushed == "Accepted":
                transaction, _ = await charger.start(ROOM_KEY)
                await charger.stop(transaction)
    attempts = await site.attempts()
    assert {one["decidedBy"] for one in attempts} == {"FAIL_POLICY"}
    flags = [flag for one in attempts if one["session"] for flag in one["session"]["flags"]]
    assert ("AUTHORIZATION_DEGRADED" in flags) == (pushed == "Accepted")
