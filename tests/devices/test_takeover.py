"""Two processes and chargers that move between them: who speaks for a charger is one of them, at every moment."""

import asyncio
import json

import pytest

from app.database import Database
from app.redis_bus import RedisBus
from bench.fleet import Login
from bench.takeover import taken_over
from devices import calls
from devices.sockets import GOING_AWAY
from domain.models import Station
from domain.ports import DeviceVerdict, StartCharging
from tests.devices.server import LIMIT_S, RawCharger, a_raw_charger, a_registered_charger, a_server
from tests.devices.simulated import until
from tests.factories import a_site


async def test_no_command_goes_over_a_connection_that_was_overtaken(
    database: Database, bus: RedisBus, redis_url: str
) -> None:
    """Whichever process is asked: no command comes over an older connection once a newer one stands, each comes once the charger has
    booted, and the process that was left closes its end.
    """
    site = await a_site()
    async with RedisBus(redis_url) as other_bus, a_server(bus) as one, a_server(other_bus, process="p2") as two:
        chargers = [await a_registered_charger(site) for _ in range(3)]
        logins = [Login(charger.identity, charger.password) for charger in chargers]
        urls = [server.url("").rstrip("/") for server in (one, two)]
        found = await taken_over(logins, urls, 8, [one.service.commands, two.service.commands])
    assert (found.takeovers, found.commands) == (21, 72)
    assert (found.stale, found.unreached, found.left_open) == (0, 0, 0)
    assert await Station.filter(is_connected=True).count() == 0


class NoWord(RedisBus):
    """A bus over which no word gets from one process to another."""

    async def send(self, channel: str, message: bytes) -> int:
        return 0


async def test_what_waited_behind_a_call_goes_over_no_connection_that_was_overtaken(
    database: Database, bus: RedisBus, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the process that was left has heard nothing of it: the rows are asked before a command goes out that has waited."""
    monkeypatch.setattr(calls, "SURE_FOR_S", 0.0)
    charger = await a_registered_charger(await a_site())
    async with (
        NoWord(redis_url) as silent,
        a_server(bus, process="p2") as left,
        a_server(silent, process="p3") as now,
        a_raw_charger(left, charger) as older,
    ):
        held, ask = older.answers.pop("RemoteStartTransaction"), left.service.commands.send
        first = asyncio.create_task(ask(charger.charger_id, StartCharging("FIRST"), timeout_s=LIMIT_S))
        message_id = await started(older)
        second = asyncio.create_task(ask(charger.charger_id, StartCharging("SECOND"), timeout_s=LIMIT_S))
        (link,) = left.service._registry.links()
        await until(lambda: len(link.calls._waiting) == 1)
        async with a_raw_charger(now, charger) as newer:
            await older.socket.send(json.dumps([3, message_id, held]))
            verdicts = [(await one).verdict for one in (first, second)]
            assert verdicts == [DeviceVerdict.ACCEPTED, DeviceVerdict.OFFLINE]
            await older.socket.wait_closed()
            assert older.socket.close_code == GOING_AWAY
            came = [older.calls.get_nowait()[1] for _ in range(older.calls.qsize())]
            assert "RemoteStartTransaction" not in came
            again = await now.service.commands.send(charger.charger_id, StartCharging("SECOND"), timeout_s=LIMIT_S)
            assert again.verdict is DeviceVerdict.ACCEPTED
            await started(newer)


async def started(raw: RawCharger) -> str:
    """The id of the next remote start that comes to it."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            message_id, action, _ = await raw.calls.get()
            if action == "RemoteStartTransaction":
                return message_id
