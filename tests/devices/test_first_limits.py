"""What is answered to a charger of which it is not known that a limit of ours is in force when a car begins."""

import asyncio
import json
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any

import pytest

from app.redis_bus import RedisBus
from devices.first_limits import MOST_HELD, FirstLimits
from devices.service import DeviceOptions
from domain.clock import SystemClock
from domain.ports import DeviceVerdict, OfferCurrent, OfferStep, StartCharging
from tests.devices.server import CARD, LIMIT_S, RawCharger, Registered, a_raw_charger, a_server

DEFAULT = OfferCurrent((OfferStep(0, 0.0),), transaction_id=None)
PATIENT = DeviceOptions(check_every_s=3600, limit_awaited_s=3 * LIMIT_S)
OF_SESSION = OfferCurrent((OfferStep(0, 6.0),), transaction_id="1")

Said = tuple[str, dict[str, Any]]


def asked(protocol: str, card: str = CARD) -> Said:
    """A card is held to the reader."""
    if protocol == "ocpp1.6":
        return "Authorize", {"idTag": card}
    return "Authorize", {"idToken": {"idToken": card, "type": "ISO14443"}}


def begun(protocol: str, *, minutes_ago: int = 0, card: str = CARD) -> Said:
    """A charge has begun."""
    at = (SystemClock().now() - timedelta(minutes=minutes_ago)).isoformat()
    if protocol == "ocpp1.6":
        return "StartTransaction", {"connectorId": 1, "idTag": card, "meterStart": minutes_ago, "timestamp": at}
    event = {"eventType": "Started", "triggerReason": "Authorized", "timestamp": at, "seqNo": 0, "evse": {"id": 1}}
    told = {"transactionInfo": {"transactionId": f"t{minutes_ago}"}, "idToken": {"idToken": card, "type": "ISO14443"}}
    return "TransactionEvent", event | told


def verdict(frame: Sequence[Any]) -> str:
    """How the card stands, by the answer."""
    answer = frame[2]
    return str((answer.get("idTagInfo") or answer["idTokenInfo"])["status"])


async def withheld(raw: RawCharger) -> str:
    """The id of the call that brought the limit."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            message_id, action, _ = await raw.calls.get()
            if action == "SetChargingProfile":
                return message_id


async def at_once(asked: Coroutine[None, None, bool]) -> bool:
    """The answer, which takes no turn of a clock."""
    task = asyncio.ensure_future(asked)
    for _ in range(5):
        await asyncio.sleep(0)
    assert task.done()
    return task.result()


@pytest.mark.parametrize(
    ("protocol", "word"),
    [
        ("ocpp1.6", [3, {"status": "Accepted"}]),
        ("ocpp2.0.1", [3, {"status": "Rejected"}]),
        ("ocpp1.6", [4, "NotSupported", "", {}]),
    ],
)
async def test_no_car_begins_before_its_charger_has_answered_to_a_limit(
    bus: RedisBus, charger: Registered, protocol: str, word: list[Any]
) -> None:
    """Cards, starts and remote starts wait for that word, whichever it is, while everything else goes on in both directions; then all
    are answered, and the limit of the charge goes out behind.
    """
    async with (
        a_server(bus, options=PATIENT) as server,
        a_raw_charger(server, charger, subprotocols=(protocol,)) as raw,
    ):
        send = server.service.commands.send
        del raw.answers["SetChargingProfile"]
        raw.answers["RequestStartTransaction"] = {"status": "Accepted"}
        card, start = raw.begin(*asked(protocol)), raw.begin(*begun(protocol))
        remote = asyncio.create_task(send(charger.charger_id, StartCharging(CARD), timeout_s=LIMIT_S))
        await raw.call("Heartbeat", {})
        limit = asyncio.create_task(send(charger.charger_id, DEFAULT, timeout_s=LIMIT_S))
        message_id = await withheld(raw)
        offer = asyncio.create_task(send(charger.charger_id, OF_SESSION, timeout_s=LIMIT_S))
        await raw.call("Heartbeat", {})
        assert [one.done() for one in (card, start, remote)] == [False] * 3
        await raw.socket.send(json.dumps([word[0], message_id, *word[1:]]))
        offered = await withheld(raw)
        assert card.done()
        assert start.done()
        await raw.socket.send(json.dumps([3, offered, {"status": "Accepted"}]))
        assert [verdict(await one) for one in (card, start)] == ["Accepted", "Accepted"]
        assert [(await one).verdict for one in (remote, offer)] == [DeviceVerdict.ACCEPTED] * 2
        assert (await limit).verdict is not DeviceVerdict.TIMEOUT
        assert verdict(await raw.frame(*asked(protocol))) == "Accepted"


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_only_what_may_begin_waits(bus: RedisBus, charger: Registered, protocol: str) -> None:
    """A refusal changes nothing at the charger, nor does the answer to a charge that began before the connection."""
    async with (
        a_server(bus, options=PATIENT) as server,
        a_raw_charger(server, charger, subprotocols=(protocol,)) as raw,
    ):
        assert verdict(await raw.frame(*asked(protocol, "FFFF0000"))) != "Accepted"
        assert verdict(await raw.frame(*begun(protocol, minutes_ago=30))) == "Accepted"


async def test_a_charger_that_says_nothing_to_its_limit_is_not_waited_for_without_end(
    bus: RedisBus, charger: Registered
) -> None:
    """Each card is answered when patience has run out, which is counted, however many are shown at once."""
    options = DeviceOptions(check_every_s=3600, limit_awaited_s=0.1)
    async with a_server(bus, options=options) as server, a_raw_charger(server, charger) as raw:
        cards = [raw.begin(*asked("ocpp1.6")) for _ in range(MOST_HELD + 1)]
        assert {verdict(await one) for one in cards} == {"Accepted"}
        assert server.service.counts["no word on the first limit"] == MOST_HELD + 1


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_a_charger_that_says_nothing_to_its_limit_holds_up_nobody_twice(
    bus: RedisBus, charger: Registered, protocol: str
) -> None:
    """Once it was silent for as long as anybody waits, cards, starts and remote starts go on at once, each counted; its next connection
    is waited for anew.
    """
    options = DeviceOptions(check_every_s=3600, limit_awaited_s=0.3)
    async with a_server(bus, options=options) as server:
        counts, send = server.service.counts, server.service.commands.send
        for connection in (1, 2):
            async with a_raw_charger(server, charger, subprotocols=(protocol,)) as raw:
                del raw.answers["SetChargingProfile"]
                raw.answers["RequestStartTransaction"] = {"status": "Accepted"}
                limit = asyncio.create_task(send(charger.charger_id, DEFAULT, timeout_s=LIMIT_S))
                await withheld(raw)
                first = asyncio.get_running_loop().time()
                assert verdict(await raw.frame(*asked(protocol))) == "Accepted"
                waited_s = asyncio.get_running_loop().time() - first
                (link,) = server.service._registry.links()
                assert await at_once(link.limits.known()) is False
                assert verdict(await raw.frame(*asked(protocol))) == "Accepted"
                assert verdict(await raw.frame(*begun(protocol))) == "Accepted"
                assert counts["no word on the first limit"] == 3 * connection
                assert waited_s > 0.2
                limit.cancel()


async def test_silence_counts_from_when_the_limit_went_out() -> None:
    """To each connector, and for the first time: of one that was told nothing yet it says nothing, and repetitions do not prolong it."""
    limits, loop = FirstLimits([1, 2], patience_s=0.1), asyncio.get_running_loop()
    limits.told(1)
    began_s = loop.time()
    assert await limits.known() is False
    assert loop.time() - began_s >= 0.09
    limits.told(2)
    began_s = loop.time()
    assert await limits.known() is False
    assert loop.time() - began_s >= 0.09
    limits.told(2)
    assert await at_once(limits.known()) is False
    limits.heard(1)
    limits.heard(2)
    assert await at_once(limits.known()) is True


async def test_the_offer_of_a_charge_that_goes_on_waits_for_no_later_ones() -> None:
    """However many cars come to the other connectors meanwhile: what limits this one goes out when patience has run out."""
    limits = FirstLimits([1, 2], patience_s=0.01)
    limits.hold()
    async with asyncio.timeout(LIMIT_S):
        await limits.released()
    assert limits.held_count == 1


async def test_a_command_that_waits_for_a_limit_is_answered_in_its_own_time(bus: RedisBus, charger: Registered) -> None:
    """A remote start has its answer when its asker's time is over, and goes out no more."""
    async with a_server(bus, options=PATIENT) as server, a_raw_charger(server, charger) as raw:
        await raw.call("Heartbeat", {})
        (link,) = server.service._registry.links()
        answer = await link.command(StartCharging(CARD), evse=1, timeout_s=0.05)
        assert (answer.verdict, answer.detail) == (DeviceVerdict.TIMEOUT, "no answer within 0.05 s")
        assert raw.calls.empty()
