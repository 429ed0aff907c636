import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.ocpp.adapter import ADAPTERS, DEFAULT_SUBPROTOCOL
from devices.ocpp.frames import UNREADABLE, CallError, ErrorCode
from devices.ocpp.leniency import Leniency
from devices.ocpp.protocol import AnswerKind, BootVerdict, Received, Refused, UnencodableError
from devices.ocpp.v16 import messages
from devices.ocpp.v16.reading import READINGS
from domain.observations import Metered, SessionEnded
from domain.ports import (
    DeviceAnswer,
    DeviceCommand,
    DeviceVerdict,
    OfferCurrent,
    OfferStep,
    Restart,
    SetAvailability,
    StartCharging,
    StopCharging,
    Trigger,
    Unlock,
)
from domain.roles import AuthorizationDecision, StopReason

V16 = ADAPTERS[DEFAULT_SUBPROTOCOL]
NOW = datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)
FRAMES = Path(__file__).parents[1] / "frames"


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FRAMES / f"{name}.json").read_text(encoding="utf-8"))
    return found


CONFORMANT, LENIENCIES = cases("conformant"), cases("leniencies")
TRANSACTIONS = ["StartTransaction", "StopTransaction", "MeterValues"]


def receive(action: str, payload: object) -> Received:
    received = V16.receive(action, json.dumps(payload).encode(), received_at=NOW)
    assert isinstance(received, Received)
    return received


def agrees(case: dict[str, Any], received: Received) -> None:
    """The observation has what the case shows; the message's first sample too."""
    if "shows" not in case:
        assert received.observations == ()
        return
    (observation,) = received.observations
    assert observation.received_at == NOW
    seen = json.loads(msgspec.json.encode(observation))
    assert {key: seen[key] for key in case["shows"]} == case["shows"]
    if "sample" in case:
        sample = seen["samples"][0]
        assert {key: sample[key] for key in case["sample"]} == case["sample"]


def answer(kind: AnswerKind, action: str) -> msgspec.Struct:
    table = {
        AnswerKind.BOOT: lambda: V16.boot(BootVerdict.ACCEPTED, now=NOW, interval_s=300),
        AnswerKind.HEARTBEAT: lambda: V16.heartbeat(now=NOW),
        AnswerKind.AUTHORIZE: lambda: V16.authorize(AuthorizationDecision.ACCEPTED),
        AnswerKind.START: lambda: V16.started("42", AuthorizationDecision.ACCEPTED),
    }
    return table.get(kind, lambda: V16.acknowledge(action))()


@pytest.mark.parametrize("case", CONFORMANT, ids=[case["frame"][2] for case in CONFORMANT])
def test_messages_that_keep_the_standard(case: dict[str, Any]) -> None:
    """What a charger says by the book is understood with nothing to forgive, and answered by the book."""
    _, _, action, payload = case["frame"]
    assert isinstance(msgspec.json.decode(json.dumps(payload), type=messages.CALLS[action]), messages.CALLS[action])
    received = receive(action, payload)
    assert (received.action, received.answer_kind, received.leniencies) == (action, case["kind"], ())
    agrees(case, received)
    sent = json.loads(msgspec.json.encode(answer(received.answer_kind, action)))
    assert sent == case["answer"]
    msgspec.json.decode(json.dumps(sent), type=messages.RESULTS[action])


def test_every_message_of_a_charger_has_its_case() -> None:
    """The cases cover all that is read."""
    assert {case["frame"][2] for case in CONFORMANT} == set(READINGS)


@pytest.mark.parametrize("case", LENIENCIES, ids=[case["about"] for case in LENIENCIES])
def test_each_leniency_is_named(case: dict[str, Any]) -> None:
    """What real firmware gets wrong is taken, and said by name."""
    _, _, action, payload = case["frame"]
    received = receive(action, payload)
    assert case["leniency"] in received.leniencies
    agrees(case, received)


def test_every_leniency_has_its_case() -> None:
    """No kindness without a frame that needs it."""
    assert {case["leniency"] for case in LENIENCIES} == set(Leniency)


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Dance", b"{}", ErrorCode.NOT_IMPLEMENTED),
        ("Reset", b"{}", ErrorCode.NOT_SUPPORTED),
        ("BootNotification", b"[]", ErrorCode.TYPE_CONSTRAINT_VIOLATION),
        ("StopTransaction", b'{"a":', ErrorCode.TYPE_CONSTRAINT_VIOLATION),
    ],
)
def test_what_cannot_be_understood_is_refused(action: str, payload: bytes, code: ErrorCode) -> None:
    """An unknown action, one of ours, and a payload that is no object get their error."""
    refused = V16.receive(action, payload, received_at=NOW)
    assert isinstance(refused, Refused)
    assert refused.code == code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
IDS = ["connectorId", "transactionId", "idTag", "reason"]
VALUES = ["meterStart", "meterStop", "timestamp", "meterValue", "transactionData", "sampledValue", "value"]
FIELDS = st.sampled_from(IDS + VALUES)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TRANSACTIONS), st.dictionaries(FIELDS, JSON, max_size=6))
def test_a_transaction_message_is_never_refused(action: str, payload: dict[str, Any]) -> None:
    """Any JSON object as a transaction message is understood as far as it goes: an error would destroy the session."""
    received = V16.receive(action, msgspec.json.encode(payload), received_at=NOW)
    assert isinstance(received, Received)
    assert received.answer_kind.waits_for_commit
    assert len(received.observations) == 1


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(READINGS)), st.binary(max_size=80))
def test_random_payloads_never_raise(action: str, payload: bytes) -> None:
    """Whatever the bytes are, there is a verdict."""
    assert isinstance(V16.receive(action, payload, received_at=NOW), (Received, Refused))


def test_contexts_in_one_meter_value_are_samples_of_their_own() -> None:
    """Begin and end of a session in one element are two samples; values at the outlet win over those elsewhere."""
    values = [
        {"value": "9", "context": "Transaction.Begin", "location": "Inlet"},
        {"value": "7", "context": "Transaction.Begin"},
        {"value": "8", "context": "Transaction.End"},
    ]
    received = receive(
        "MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": values}]}
    )
    (metered,) = received.observations
    assert isinstance(metered, Metered)
    assert {sample.context: sample.register_wh for sample in metered.samples} == {
        "Transaction.Begin": 7,
        "Transaction.End": 8,
    }


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, StopReason.UNKNOWN),
        ({"idTag": "A"}, StopReason.CARD),
        ({"reason": "Local"}, StopReason.OTHER),
        ({"reason": "Remote", "idTag": "A"}, StopReason.REMOTE),
        ({"reason": "EVDisconnected"}, StopReason.VEHICLE_DISCONNECTED),
        ({"reason": "HardReset"}, StopReason.RESTART),
        ({"reason": "DeAuthorized"}, StopReason.DEAUTHORIZED),
        ({"reason": "EmergencyStop"}, StopReason.FAULT),
    ],
)
def test_reasons_in_our_words(fields: dict[str, Any], reason: StopReason) -> None:
    """Why a session ended; without a reason it ended locally, by card where one is named."""
    (ended,) = receive(
        "StopTransaction", {"transactionId": 1, "meterStop": 1, "timestamp": "2026-03-01T12:00:00Z", **fields}
    ).observations
    assert isinstance(ended, SessionEnded)
    assert ended.reason == reason


def encoded(command: DeviceCommand) -> tuple[str, Any]:
    outgoing = V16.encode(command, evse=1, now=NOW)
    text = msgspec.json.encode(outgoing.payload)
    msgspec.json.decode(text, type=messages.CALLS[outgoing.action])
    return outgoing.action, json.loads(text)


@pytest.mark.parametrize(
    ("command", "action", "payload"),
    [
        (StartCharging("04A1"), "RemoteStartTransaction", {"connectorId": 1, "idTag": "04A1"}),
        (StopCharging("42"), "RemoteStopTransaction", {"transactionId": 42}),
        (Restart(), "Reset", {"type": "Soft"}),
        (Unlock(), "UnlockConnector", {"connectorId": 1}),
        (SetAvailability(True), "ChangeAvailability", {"connectorId": 1, "type": "Operative"}),
        (SetAvailability(False), "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}),
        (Trigger("StatusNotification"), "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}),
        (Trigger("BootNotification"), "TriggerMessage", {"requestedMessage": "BootNotification"}),
    ],
)
def test_commands_on_the_wire(command: DeviceCommand, action: str, payload: dict[str, Any]) -> None:
    """Each command is a call that keeps the standard."""
    assert encoded(command) == (action, payload)


def test_what_a_charger_is_set_to() -> None:
    """The interval of its readings first: some firmware refuses the list of readings for one that it does not know."""
    wanted = V16.settings(meter_interval_s=30, heartbeat_interval_s=600)
    said = [json.loads(msgspec.json.encode(one.payload)) for one in wanted]
    assert {one.action for one in wanted} == {"ChangeConfiguration"}
    assert {one["key"]: one["value"] for one in said} == {
        "MeterValueSampleInterval": "30",
        "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,Current.Import",
        "HeartbeatInterval": "600",
        "LocalPreAuthorize": "false",
    }
    assert said[0]["key"] == "MeterValueSampleInterval"


def test_what_another_portal_has_set_is_cleared_at_once() -> None:
    """Without any criterion: all profiles are meant."""
    (outgoing,) = V16.clear_profiles()
    assert (outgoing.action, json.loads(msgspec.json.encode(outgoing.payload))) == ("ClearChargingProfile", {})


def test_an_offer_for_a_session_with_steps_is_absolute() -> None:
    """Steps to come count from now, rounded down to 0.1 A, with the number of conductors where it is given."""
    steps = (OfferStep(0, 15.99), OfferStep(600, 15.9, 1), OfferStep(1200, 0.0))
    action, payload = encoded(OfferCurrent(steps, "42"))
    assert action == "SetChargingProfile"
    assert payload == {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 2,
            "transactionId": 42,
            "stackLevel": 1,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "startSchedule": "2026-03-01T12:00:01.000Z",
                "chargingSchedulePeriod": [
                    {"startPeriod": 0, "limit": 15.9},
                    {"startPeriod": 600, "limit": 15.9, "numberPhases": 1},
                    {"startPeriod": 1200, "limit": 0.0},
                ],
            },
        },
    }


def test_an_offer_of_one_step_needs_no_clock() -> None:
    """A single step holds at once, whatever the charger's clock says."""
    _, payload = encoded(OfferCurrent((OfferStep(0, 6.0),), "42"))
    profile = payload["csChargingProfiles"]
    assert profile["chargingProfileKind"] == "Relative"
    assert "startSchedule" not in profile["chargingSchedule"]


def test_an_offer_for_sessions_to_come_is_relative() -> None:
    """Without a session it is the default profile, counted from each session's start."""
    _, payload = encoded(OfferCurrent((OfferStep(0, 0.0), OfferStep(1200, 6.04)), None))
    profile = payload["csChargingProfiles"]
    kinds = (profile["chargingProfilePurpose"], profile["chargingProfileKind"], profile["chargingProfileId"])
    assert kinds == ("TxDefaultProfile", "Relative", 1)
    assert [period["limit"] for period in profile["chargingSchedule"]["chargingSchedulePeriod"]] == [0.0, 6.0]
    assert "transactionId" not in profile


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 200))
def test_a_limit_is_never_more_than_was_meant(current_a: float) -> None:
    """Rounding to 0.1 A goes down, and by less than a step."""
    _, payload = encoded(OfferCurrent((OfferStep(0, current_a),), None))
    limit = payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"]
    assert limit - 1e-6 <= current_a < limit + 0.1


@pytest.mark.parametrize(
    "command",
    [
        StartCharging("x" * 21),
        StartCharging(""),
        StopCharging("a uuid"),
        OfferCurrent((), None),
        OfferCurrent((OfferStep(5, 6.0),), None),
        OfferCurrent((OfferStep(0, 6.0), OfferStep(0, 7.0)), None),
        OfferCurrent((OfferStep(0, float("nan")),), None),
        OfferCurrent((OfferStep(0, -1.0),), None),
        Trigger("Everything"),
    ],
)
def test_what_cannot_be_said_is_refused_before_it_is_sent(command: DeviceCommand) -> None:
    """A token too long, a schedule without a beginning, no number: nothing wrong reaches a charger."""
    with pytest.raises(UnencodableError):
        V16.encode(command, evse=1, now=NOW)


@pytest.mark.parametrize(
    ("payload", "verdict"),
    [
        (b'{"status":"Accepted"}', DeviceAnswer(DeviceVerdict.ACCEPTED, "Accepted")),
        (b'{"status":"Unlocked"}', DeviceAnswer(DeviceVerdict.ACCEPTED, "Unlocked")),
        (b'{"status":"NotSupported"}', DeviceAnswer(DeviceVerdict.REJECTED, "NotSupported")),
        (b"{}", DeviceAnswer(DeviceVerdict.ERROR, "the answer has no status")),
        (b"[]", DeviceAnswer(DeviceVerdict.ERROR, "the payload is no object")),
    ],
)
def test_answers_to_commands(payload: bytes, verdict: DeviceAnswer) -> None:
    """The charger's word for it is kept beside the verdict."""
    assert V16.verdict("Reset", payload) == verdict


def test_an_error_is_an_answer_too() -> None:
    """A CALLERROR says why in the charger's words."""
    assert V16.error_verdict(CallError("1", "NotSupported", "no")) == DeviceAnswer(
        DeviceVerdict.ERROR, "NotSupported: no"
    )


def test_decisions_and_boots_on_the_wire() -> None:
    """Every decision and boot verdict has its word in the standard."""
    decisions = {
        d: json.loads(msgspec.json.encode(V16.authorize(d)))["idTagInfo"]["status"] for d in AuthorizationDecision
    }
    assert set(decisions.values()) == {"Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"}
    for verdict in BootVerdict:
        sent = msgspec.json.encode(V16.boot(verdict, now=NOW + timedelta(hours=1), interval_s=60))
        msgspec.json.decode(sent, type=messages.BootNotificationResponse)


def test_strict_types_refuse_what_the_adapter_forgives() -> None:
    """Leniency is the adapter's own: the generated types keep to the schema."""
    with pytest.raises(UNREADABLE):
        msgspec.json.decode(b'{"idTag":"' + b"x" * 21 + b'"}', type=messages.Authorize)


def test_connectors_of_one_station_share_no_profile() -> None:
    """Firmware that keeps profiles by id for the whole station must not replace one connector's by another's."""
    ids = set()
    for evse in (1, 2, 3):
        for transaction in (None, "42"):
            outgoing = V16.encode(OfferCurrent((OfferStep(0, 6.0),), transaction), evse=evse, now=NOW)
            payload = json.loads(msgspec.json.encode(outgoing.payload))
            ids.add(payload["csChargingProfiles"]["chargingProfileId"])
    assert len(ids) == 6


def test_no_charger_is_asked_for_all_its_settings() -> None:
    """Each question names the keys that it wants: some firmware crashes at one that names none."""
    asked = (V16.ask_capabilities(), V16.ask_list_limits())
    named = [one.payload.key for one in asked if isinstance(one.payload, messages.GetConfiguration)]
    assert len(named) == len(asked)
    assert all(isinstance(keys, list) and 0 < len(keys) <= 20 for keys in named)
