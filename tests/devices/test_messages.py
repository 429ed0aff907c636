"""What chargers say is kept for those who look after them, with the charge or soon after."""

import json
from datetime import timedelta
from typing import Any

import pytest

from devices import ingest
from domain import sql
from domain.clock import SystemClock
from domain.equipment import ocpp_messages
from domain.models import ChargeSession, OcppMessage
from domain.pages import PageRequest
from domain.ports import StartCharging
from domain.roles import Role
from domain.views.ocpp_message_views import messages_by_ids, messages_page
from tests.devices.server import (
    CARD,
    LIMIT_S,
    Registered,
    Server,
    a_raw_charger,
    a_registered_charger,
)
from tests.factories import Site, a_grant, a_person, a_site, access


async def said(charger: Registered, **values: object) -> list[tuple[bool, str, dict[str, Any]]]:
    """(from the charger, action, payload) in their order."""
    rows = await OcppMessage.filter(station_id=charger.station_id, **values).order_by("id")
    return [(row.is_from_charger, row.action, json.loads(row.payload)) for row in rows]


async def test_the_messages_behind_a_charge_are_kept_with_it(server: Server, site: Site) -> None:
    """I11: once a message of a transaction is answered it can be read, and with it everything that the charge was made from."""
    charger = await a_registered_charger(site)
    now = SystemClock().now()
    began = (now - timedelta(minutes=30)).isoformat()
    start = {"connectorId": 1, "idTag": CARD, "meterStart": 1_000, "timestamp": began}
    async with a_raw_charger(server, charger) as raw:
        answer = await raw.call("StartTransaction", start)
        assert (True, "StartTransaction", {**start, "idTag": "04…C3"}) in await said(charger)
        stop = {"transactionId": answer["transactionId"], "meterStop": 3_000, "timestamp": now.isoformat()}
        await raw.call("StopTransaction", stop)
        assert (True, "StopTransaction", stop) in await said(charger)
    assert (await ChargeSession.get()).energy_wh == 2_000


async def test_what_is_asked_of_a_charger_and_what_it_answers_is_kept(server: Server, site: Site) -> None:
    """Soon, with no card in it; heartbeats and answers that say nothing are not."""
    charger = await a_registered_charger(site)
    async with a_raw_charger(server, charger) as raw:
        await raw.call("Heartbeat", {})
        await raw.call("Authorize", {"idTag": CARD})
        await server.service.commands.send(charger.charger_id, StartCharging(CARD), timeout_s=LIMIT_S)
        await server.service._ingestor.keep_some()
        found = await said(charger)
    assert (True, "Authorize", {"idTag": "04…C3"}) in found
    assert (False, "Authorize", {"idTagInfo": {"status": "Accepted"}}) in found
    assert (False, "RemoteStartTransaction", {"connectorId": 1, "idTag": "04…C3"}) in found
    assert (True, "RemoteStartTransaction", {"status": "Accepted"}) in found
    assert not any(action == "Heartbeat" for _, action, _ in found)


async def test_who_reads_them(server: Server, site: Site) -> None:
    """SERVICE of the place, newest first, and of the time at that place only; an owner does not."""
    charger = await a_registered_charger(site)
    await ocpp_messages.insert([_message(charger, number) for number in range(3)])
    elsewhere = await a_site("Elsewhere")
    await sql.execute("UPDATE chargers SET installation_id = $2 WHERE id = $1", charger.charger_id, elsewhere.id)
    await ocpp_messages.insert([_message(charger, 3)])
    found: dict[str, list[str]] = {}
    for name, role, place in (
        ("old", Role.SERVICE, site),
        ("new", Role.SERVICE, elsewhere),
        ("owner", Role.OWNER, elsewhere),
    ):
        person = await a_person(name)
        await a_grant(role, place, user_id=person)
        viewer = await access(person)
        page = await messages_page(viewer, charger.charger_id, PageRequest(first=10))
        found[name] = [row.action for row in page.rows]
        ids = [row.id for row in await OcppMessage.all()]
        assert len(await messages_by_ids(viewer, ids)) == len(found[name])
    assert found == {"old": ["A2", "A1", "A0"], "new": ["A3"], "owner": []}


def _message(charger: Registered, number: int) -> ocpp_messages.Message:
    at = SystemClock().now() + timedelta(seconds=number)
    return ocpp_messages.Message(charger.station_id, at, is_from_charger=True, action=f"A{number}", payload="{}")


async def test_they_are_forgotten_after_their_time(server: Server, site: Site) -> None:
    """The oldest first, however many there are."""
    charger = await a_registered_charger(site)
    await ocpp_messages.insert([_message(charger, number) for number in range(5)])
    assert await ocpp_messages.forget(before=SystemClock().now() + timedelta(seconds=2.5)) == 3
    assert {action for _, action, _ in await said(charger)} == {"A3", "A4"}


async def test_too_many_at_once_cost_the_oldest_and_are_counted(
    server: Server, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded; charges are not concerned, whose messages are stored with them."""
    monkeypatch.setattr(ingest, "MOST_MESSAGES", 2)
    charger = await a_registered_charger(site)
    ingestor = server.service._ingestor
    for number in range(5):
        ingestor.keep(_message(charger, number))
    await ingestor.keep_some()
    assert {action for _, action, _ in await said(charger)} == {"A3", "A4"}
    assert server.service.ingest_counts.messages_lost == 3
