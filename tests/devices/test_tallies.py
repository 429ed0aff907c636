"""What is counted of chargers' faults and of what is forgiven them, and that it cannot grow without end."""

import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.database import Database
from app.metrics import exposition, watch_devices
from app.redis_bus import RedisBus
from devices.tallies import MOST_CHARGERS, MOST_KINDS, OTHER, Tallies
from domain.equipment.capabilities import Kind
from tests.devices.server import a_raw_charger, a_registered_charger, a_server, authorization
from tests.factories import a_site


def test_so_many_names_and_no_more() -> None:
    """Kinds and identities beyond the bound count together; those that are known go on counting by themselves."""
    tallies = Tallies()
    for number in range(MOST_KINDS + 2):
        tallies.forgave(Kind("Acme", f"Model {number}"), "absent field")
    tallies.forgave(Kind("Acme", "Model 0", "other firmware"), "absent field")
    assert tallies.leniencies["Acme", "Model 0", "absent field"] == 2
    assert tallies.leniencies[OTHER, OTHER, "absent field"] == 2
    for number in range(MOST_CHARGERS + 3):
        tallies.did_wrong(f"charger-{number}", "malformed")
    assert (len(tallies.faults), tallies.faults[OTHER, "malformed"]) == (MOST_CHARGERS + 1, 3)


async def test_metrics_name_the_kind_and_the_charger(database: Database, bus: RedisBus) -> None:
    """A time without a zone is forgiven by model; a frame that is none, an answer to nothing, an unknown message and a wrong password
    are counted of the charger whose name they came under.
    """
    registry = CollectorRegistry()
    async with a_server(bus) as server:
        watch_devices(registry, server.service)
        charger = await a_registered_charger(await a_site())
        with pytest.raises(InvalidStatus):
            await connect(server.url(charger.identity), additional_headers=authorization(charger.identity, "a guess"))
        async with a_raw_charger(server, charger) as raw:
            await raw.call("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "One"})
            status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
            await raw.call("StatusNotification", {**status, "timestamp": "2026-01-01T12:00:00"})
            await raw.socket.send("hello")
            await raw.socket.send('[3,"nobody asked",{}]')
            assert (await raw.frame("Dance", {}))[2] == "NotImplemented"
            text = exposition(registry).decode()
    forgiven = [line for line in text.splitlines() if line.startswith("lade_ocpp_leniencies_total")]
    assert [line.partition("{")[2] for line in forgiven] == ['model="One",vendor="Acme",what="TIME_WITHOUT_ZONE"} 1.0']
    wrong = {line.partition("{")[2] for line in text.splitlines() if line.startswith("lade_charger_faults_total")}
    assert wrong == {
        f'charger="{charger.identity}",what="{what}"}} 1.0'
        for what in ("malformed", "answers to nothing", "refused", "wrong password")
    }
