"""Whatever a charger may send by the standard is answered by the standard, over real sockets; the `ocpp` package is the judge."""

import json
import random

import pytest
from ocpp.messages import CallResult, validate_payload

from devices.ocpp.v16 import messages as messages16
from devices.ocpp.v16.reading import READINGS as READINGS16
from devices.ocpp.v201 import messages as messages201
from devices.ocpp.v201.reading import READINGS as READINGS201
from tests.devices.ocpp.strange import message
from tests.devices.server import Server, a_raw_charger, a_registered_charger
from tests.factories import a_site

DIALECTS = {"ocpp1.6": ("v16", "1.6"), "ocpp2.0.1": ("v201", "2.0.1"), "ocpp2.1": ("v201", "2.0.1")}
CALLS = {"v16": messages16.CALLS, "v201": messages201.CALLS}
READINGS = {"v16": READINGS16, "v201": READINGS201}
FROM_CHARGERS = {"v16": "", "v201": "Request"}
EACH = 8
"""Messages of an action, of which each leaves out other fields."""

FROM_PORTALS = {
    "v16": {
        "CancelReservation",
        "CertificateSigned",
        "ChangeAvailability",
        "ChangeConfiguration",
        "ClearCache",
        "ClearChargingProfile",
        "DeleteCertificate",
        "ExtendedTriggerMessage",
        "GetCompositeSchedule",
        "GetConfiguration",
        "GetDiagnostics",
        "GetInstalledCertificateIds",
        "GetLocalListVersion",
        "GetLog",
        "InstallCertificate",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "ReserveNow",
        "Reset",
        "SendLocalList",
        "SetChargingProfile",
        "SignedUpdateFirmware",
        "TriggerMessage",
        "UnlockConnector",
        "UpdateFirmware",
    },
    "v201": {
        "CancelReservation",
        "CertificateSigned",
        "ChangeAvailability",
        "ClearCache",
        "ClearChargingProfile",
        "ClearDisplayMessage",
        "ClearVariableMonitoring",
        "CostUpdated",
        "CustomerInformation",
        "DeleteCertificate",
        "GetBaseReport",
        "GetChargingProfiles",
        "GetCompositeSchedule",
        "GetDisplayMessages",
        "GetInstalledCertificateIds",
        "GetLocalListVersion",
        "GetLog",
        "GetMonitoringReport",
        "GetReport",
        "GetTransactionStatus",
        "GetVariables",
        "InstallCertificate",
        "PublishFirmware",
        "RequestStartTransaction",
        "RequestStopTransaction",
        "ReserveNow",
        "Reset",
        "SendLocalList",
        "SetChargingProfile",
        "SetDisplayMessage",
        "SetMonitoringBase",
        "SetMonitoringLevel",
        "SetNetworkProfile",
        "SetVariableMonitoring",
        "SetVariables",
        "TriggerMessage",
        "UnlockConnector",
        "UnpublishFirmware",
        "UpdateFirmware",
    },
}
"""What only a portal sends (OCPP 1.6 §5 and its security extension, OCPP 2.0.1 part 2)."""


@pytest.mark.parametrize("version", ["v16", "v201"])
def test_every_message_of_the_standard_is_of_one_side(version: str) -> None:
    """A charger's is read; DataTransfer, which both send, too."""
    assert set(READINGS[version]) == set(CALLS[version]) - FROM_PORTALS[version]


@pytest.mark.parametrize("protocol", DIALECTS)
async def test_what_a_charger_may_send_is_answered_by_the_standard(server: Server, protocol: str) -> None:
    """With the fields that it must have, and any of the others."""
    version, judge = DIALECTS[protocol]
    pick = random.Random(7)
    async with a_raw_charger(server, await a_registered_charger(await a_site()), subprotocols=(protocol,)) as raw:
        for action in READINGS[version]:
            for _ in range(EACH):
                text = message(version, f"{action}{FROM_CHARGERS[version]}", pick, is_mutilated=False)
                kind, _, answer, *_ = frame = await raw.frame(action, json.loads(text))
                assert kind == 3, (action, text, frame)
                await validate_payload(CallResult("1", answer, action), judge)


@pytest.mark.parametrize("protocol", DIALECTS)
async def test_what_a_charger_may_not_send_is_told_so(server: Server, protocol: str) -> None:
    """NotSupported for a portal's own messages, NotImplemented for what is none; the connection goes on."""
    version, _ = DIALECTS[protocol]
    async with a_raw_charger(server, await a_registered_charger(await a_site()), subprotocols=(protocol,)) as raw:
        for action in sorted(FROM_PORTALS[version]):
            kind, _, code, *_ = await raw.frame(action, {})
            assert (kind, code) == (4, "NotSupported"), action
        assert (await raw.frame("BatterySwap", {}))[2] == "NotImplemented"
        assert (await raw.call("Heartbeat", {})).keys() == {"currentTime"}
