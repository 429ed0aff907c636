"""New firmware and logs: asked for, told of by the station, and how far that has come."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.redis_bus import RedisBus
from domain.clock import SystemClock
from domain.command_dispatch import CommandDispatcher
from domain.commands import request_diagnostics, update_firmware
from domain.errors import ChargerOfflineError, NotAllowedError, ValidationError
from domain.models import Charger, Command
from domain.roles import CommandState, Role
from tests.devices.server import LIMIT_S, RawCharger, Registered, Server, a_raw_charger, a_registered_charger
from tests.factories import Site, a_charger, a_grant, a_person, a_site, access
from tests.fakes import NobodyAsked, NothingSent

URL = "https://vendor.example/firmware-2.0.bin"
PROTOCOLS = ("ocpp1.6", "ocpp2.0.1")


@pytest.fixture
async def site(server: Server) -> Site:
    return await a_site()


class Desk:
    """Somebody with SERVICE, and the dispatcher that carries out what they ask for."""

    def __init__(self, server: Server, bus: RedisBus, site: Site) -> None:
        self.bus = bus
        self.site = site
        self.dispatcher = CommandDispatcher(
            commands=server.service.commands, asks=NobodyAsked(), bus=bus, clock=SystemClock()
        )

    async def update(self, charger: Registered, **given: Any) -> Command:
        """The command, once its answer has come."""
        viewer = await self._viewer()
        values = {"url": URL, "retrieve_at": None, **given}
        asked = await update_firmware(viewer, charger.charger_id, bus=self.bus, dispatch=NothingSent(), **values)
        await self.dispatcher.carry_out(asked)
        return await Command.get(id=asked)

    async def diagnose(self, charger: Registered) -> Command:
        """As `update`, for the log."""
        viewer = await self._viewer()
        asked = await request_diagnostics(viewer, charger.charger_id, url=URL, bus=self.bus, dispatch=NothingSent())
        await self.dispatcher.carry_out(asked)
        return await Command.get(id=asked)

    async def _viewer(self) -> Any:
        person = await a_person("Installer")
        await a_grant(Role.SERVICE, self.site, user_id=person)
        return await access(person, now=SystemClock().now())


@pytest.fixture
def desk(server: Server, bus: RedisBus, site: Site) -> Desk:
    return Desk(server, bus, site)


async def reached(command: Command, state: CommandState, detail: str | None) -> None:
    """Returns when the command is there."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            row = await Command.get(id=command.id)
            if (row.state, row.detail) == (state, detail):
                return


async def tell(raw: RawCharger, status: str) -> None:
    """The station says how far it is with its firmware."""
    extra = {"requestId": 1} if raw.socket.subprotocol == "ocpp2.0.1" else {}
    await raw.call("FirmwareStatusNotification", {"status": status, **extra})


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_firmware_is_fetched_installed_and_told_of(server: Server, site: Site, desk: Desk, protocol: str) -> None:
    """The address and the time go out; every word of the station shows; installed is CONFIRMED."""
    charger = await a_registered_charger(site)
    at = SystemClock().now().replace(microsecond=0) + timedelta(hours=1)
    async with a_raw_charger(server, charger, subprotocols=(protocol,)) as raw:
        raw.answers["UpdateFirmware"] = {} if protocol == "ocpp1.6" else {"status": "Accepted"}
        command = await desk.update(charger, retrieve_at=at)
        assert command.state is CommandState.ACCEPTED
        sent = await raw.next_call("UpdateFirmware")
        text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if protocol == "ocpp1.6":
            assert sent == {"location": URL, "retrieveDate": text}
        else:
            assert sent["firmware"] == {"location": URL, "retrieveDateTime": text}
        await tell(raw, "Downloading")
        await reached(command, CommandState.ACCEPTED, "Downloading")
        await tell(raw, "Idle")
        await tell(raw, "Installed")
        await reached(command, CommandState.CONFIRMED, "Downloading")


@pytest.mark.parametrize("status", ["DownloadFailed", "InstallationFailed", "InvalidSignature"])
async def test_what_fails_ends_the_command_with_the_stations_word(
    server: Server, site: Site, desk: Desk, status: str
) -> None:
    """Nobody waits for hours for what will not come."""
    charger = await a_registered_charger(site)
    async with a_raw_charger(server, charger) as raw:
        raw.answers["UpdateFirmware"] = {}
        command = await desk.update(charger)
        await tell(raw, status)
        await reached(command, CommandState.ERROR, status)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_log_is_uploaded(server: Server, site: Site, desk: Desk, protocol: str) -> None:
    """GetDiagnostics in OCPP 1.6, GetLog in 2.0.1; uploaded is CONFIRMED."""
    charger = await a_registered_charger(site)
    action = "GetDiagnostics" if protocol == "ocpp1.6" else "GetLog"
    async with a_raw_charger(server, charger, subprotocols=(protocol,)) as raw:
        raw.answers[action] = {"fileName": "log.zip"} if protocol == "ocpp1.6" else {"status": "Accepted"}
        command = await desk.diagnose(charger)
        assert URL in str(await raw.next_call(action))
        if protocol == "ocpp1.6":
            await raw.call("DiagnosticsStatusNotification", {"status": "Uploaded"})
        else:
            await raw.call("LogStatusNotification", {"status": "Uploaded", "requestId": 1})
        await reached(command, CommandState.CONFIRMED, None if protocol == "ocpp1.6" else "Accepted")


async def test_a_station_that_refuses_says_so(server: Server, site: Site, desk: Desk) -> None:
    """Its own word is the reason."""
    charger = await a_registered_charger(site)
    async with a_raw_charger(server, charger, subprotocols=("ocpp2.0.1",)) as raw:
        raw.answers["UpdateFirmware"] = {"status": "InvalidCertificate"}
        command = await desk.update(charger)
        assert (command.state, command.detail) == (CommandState.REJECTED, "InvalidCertificate")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://a b"}, "url"),
        ({"url": "http://[::1"}, "url"),
        ({"url": "https://vendor.example/" + "x" * 500}, "url"),
        ({"retrieve_at": SystemClock().now() - timedelta(hours=1)}, "retrieveAt"),
        ({"retrieve_at": SystemClock().now() + timedelta(days=31)}, "retrieveAt"),
    ],
)
async def test_an_address_or_a_time_that_cannot_be_is_refused(
    site: Site, desk: Desk, given: dict[str, Any], path: str
) -> None:
    """Nothing is stored or sent."""
    charger = await a_registered_charger(site)
    with pytest.raises(ValidationError) as caught:
        await desk.update(charger, **given)
    assert [problem.path for problem in caught.value.problems] == [(path,)]
    assert await Command.all().count() == 0


async def test_a_station_that_is_off_or_shared_is_left_alone(site: Site, desk: Desk) -> None:
    """Off: nothing is queued. Shared with another installation: only who looks after both may."""
    charger = await a_registered_charger(site)
    with pytest.raises(ChargerOfflineError):
        await desk.update(charger)
    neighbour = await a_charger(await a_site("Elsewhere"), "Other socket")
    await Charger.filter(id=neighbour).update(station_id=charger.station_id, evse=2)
    with pytest.raises(NotAllowedError):
        await desk.update(charger)
