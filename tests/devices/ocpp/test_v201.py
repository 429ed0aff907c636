"""OCPP 2.0.1 on the wire: what a charger says in our words, what we say by the standard's own schemas."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft6Validator

from devices.ocpp import generate
from devices.ocpp.adapter import ADAPTERS
from devices.ocpp.frames import CallError, ErrorCode
from devices.ocpp.leniency import Leniency
from devices.ocpp.protocol import (
    AnswerKind,
    BootVerdict,
    ListLimits,
    Outgoing,
    Received,
    Refused,
    ReportPart,
    UnencodableError,
)
from devices.ocpp.v201 import messages
from devices.ocpp.v201.reading import COMPONENTS, READINGS, REASONS
from domain.equipment.capabilities import Capabilities
from domain.identification.local_list_rules import Update
from domain.observations import FaultReported, Metered, SessionEnded, SessionStarted, StatusReported
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
from domain.roles import AlertKind, AuthorizationDecision, StopReason
from tests.devices.ocpp.test_v16 import JSON, cases

V201 = ADAPTERS["ocpp2.0.1"]
NOW = datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)
CONFORMANT = cases("conformant201")


def by_the_schema(action: str, payload: msgspec.Struct, *, is_answer: bool) -> Any:
    """The message as it goes out; the standard's own schema allows it."""
    sent = json.loads(msgspec.json.encode(payload))
    stem = f"{action}{'Response' if is_answer else 'Request'}.json"
    schema = json.loads((generate.schema_folder("v201") / stem).read_text(encoding="utf-8-sig"))
    Draft6Validator(schema).validate(sent)
    return sent


def receive(action: str, payload: object) -> Received:
    received = V201.receive(action, json.dumps(payload).encode(), received_at=NOW)
    assert isinstance(received, Received)
    return received


def answer(kind: AnswerKind, action: str) -> msgspec.Struct:
    table = {
        AnswerKind.BOOT: lambda: V201.boot(BootVerdict.ACCEPTED, now=NOW, interval_s=300),
        AnswerKind.HEARTBEAT: lambda: V201.heartbeat(now=NOW),
        AnswerKind.AUTHORIZE: lambda: V201.authorize(AuthorizationDecision.ACCEPTED),
        AnswerKind.START: lambda: V201.started("AB-1", AuthorizationDecision.ACCEPTED),
    }
    return table.get(kind, lambda: V201.acknowledge(action))()


@pytest.mark.parametrize("case", CONFORMANT, ids=[f"{n} {case['frame'][2]}" for n, case in enumerate(CONFORMANT)])
def test_messages_that_keep_the_standard(case: dict[str, Any]) -> None:
    """What a charger says by the book is understood with nothing to forgive, and answered by the book."""
    _, _, action, payload = case["frame"]
    msgspec.json.decode(json.dumps(payload), type=messages.CALLS[action])
    received = receive(action, payload)
    assert (received.action, received.answer_kind, received.leniencies) == (action, case["kind"], ())
    seen = [json.loads(msgspec.json.encode(one)) for one in received.observations]
    assert len(seen) == len(case["shows"])
    for one, shows in zip(seen, case["shows"], strict=True):
        assert {key: one[key] for key in shows} == shows
    if "sample" in case:
        sample = seen[0]["samples"][0]
        assert {key: sample[key] for key in case["sample"]} == case["sample"]
    assert by_the_schema(action, answer(received.answer_kind, action), is_answer=True) == case["answer"]


def test_every_message_of_a_charger_has_its_case() -> None:
    """The cases cover all that is read."""
    assert {case["frame"][2] for case in CONFORMANT} == set(READINGS)


def an_event(kind: str = "Updated", **fields: Any) -> dict[str, Any]:
    about = {"transactionId": "AB-1", **fields.pop("transactionInfo", {})}
    base = {"eventType": kind, "timestamp": "2026-03-01T12:00:00Z", "triggerReason": "Trigger", "seqNo": 1}
    return {**base, "transactionInfo": about, **fields}


@pytest.mark.parametrize(
    ("action", "payload", "leniency"),
    [
        ("TransactionEvent", an_event("Danced"), Leniency.UNKNOWN_VALUE),
        ("TransactionEvent", an_event(transactionInfo={"chargingState": "Dancing"}), Leniency.UNKNOWN_VALUE),
        ("TransactionEvent", an_event("Ended", transactionInfo={"stoppedReason": "Bored"}), Leniency.UNKNOWN_VALUE),
        ("TransactionEvent", {"eventType": "Ended"}, Leniency.ABSENT_FIELD),
        ("TransactionEvent", an_event(evse={"id": 5000}), Leniency.UNKNOWN_VALUE),
        ("TransactionEvent", an_event(idToken="04A1"), Leniency.UNREADABLE_FIELD),
        ("TransactionEvent", an_event(transactionInfo={"transactionId": 7}), Leniency.LOOSE_TYPES),
        ("TransactionEvent", an_event(transactionInfo={"transactionId": "x" * 70}), Leniency.OVERSIZED_TEXT),
        ("BootNotification", {}, Leniency.ABSENT_FIELD),
        ("StatusNotification", {"connectorStatus": "Busy", "evseId": 1}, Leniency.UNKNOWN_VALUE),
        ("StatusNotification", {"connectorStatus": "Available"}, Leniency.ABSENT_FIELD),
        (
            "MeterValues",
            {"evseId": 1, "meterValue": [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [{"value": "7"}]}]},
            Leniency.LOOSE_TYPES,
        ),
        (
            "MeterValues",
            {
                "evseId": 1,
                "meterValue": [
                    {"sampledValue": [{"value": 7, "unitOfMeasure": {"unit": "Wh", "multiplier": 300}}]},
                ],
            },
            Leniency.UNIT_IMPLAUSIBLE,
        ),
    ],
)
def test_what_real_firmware_gets_wrong_is_taken(action: str, payload: dict[str, Any], leniency: Leniency) -> None:
    """It is understood as far as it goes, and the kindness has its name."""
    assert leniency in receive(action, payload).leniencies


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Dance", b"{}", "NotImplemented"),
        ("CostUpdated", b"{}", "NotSupported"),
        ("BootNotification", b"[]", "FormatViolation"),
        ("TransactionEvent", b'{"a":', "FormatViolation"),
    ],
)
def test_what_cannot_be_understood_is_refused(action: str, payload: bytes, code: str) -> None:
    """An unknown action, one of ours, and a payload that is no object get their error, as 2.0.1 spells it."""
    refused = V201.receive(action, payload, received_at=NOW)
    assert isinstance(refused, Refused)
    assert V201.spelled(refused.code) == code


def test_every_code_is_one_of_the_standard() -> None:
    """Whatever 1.6 calls it, the charger hears a code of OCPP-J 2.0.1."""
    known = {
        "FormatViolation",
        "GenericError",
        "InternalError",
        "MessageTypeNotSupported",
        "NotImplemented",
        "NotSupported",
        "OccurrenceConstraintViolation",
        "PropertyConstraintViolation",
        "ProtocolError",
        "RpcFrameworkError",
        "SecurityError",
        "TypeConstraintViolation",
    }
    assert {V201.spelled(code).value for code in ErrorCode} <= known


NESTED = st.dictionaries(st.sampled_from(["transactionId", "chargingState", "id", "idToken", "type"]), JSON, max_size=4)
KEYS = ["timestamp", "seqNo", "triggerReason", "meterValue", "offline", "evse", "idToken", "transactionInfo"]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["Started", "Updated", "Ended", "Danced"]),
    st.dictionaries(st.sampled_from(KEYS), JSON | NESTED, max_size=6),
)
def test_a_transaction_message_is_never_refused(kind: str, payload: dict[str, Any]) -> None:
    """Any JSON object as a transaction message is understood as far as it goes: an error would destroy the session."""
    text = msgspec.json.encode({"eventType": kind, **payload})
    received = V201.receive("TransactionEvent", text, received_at=NOW)
    assert isinstance(received, Received)
    assert received.answer_kind.waits_for_commit
    assert received.observations


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(READINGS)), st.binary(max_size=80))
def test_random_payloads_never_raise(action: str, payload: bytes) -> None:
    """Whatever the bytes are, there is a verdict."""
    assert isinstance(V201.receive(action, payload, received_at=NOW), (Received, Refused))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(READINGS)), st.dictionaries(st.text(max_size=10) | st.sampled_from(KEYS), JSON, max_size=5)
)
def test_random_objects_never_raise(action: str, payload: dict[str, Any]) -> None:
    """An object of anything is understood or not, without an exception."""
    assert isinstance(V201.receive(action, msgspec.json.encode(payload), received_at=NOW), (Received, Refused))


def test_an_event_without_its_transaction_is_taken_as_in_16() -> None:
    """Without an id no other transaction can be ruled out."""
    (metered,) = receive("TransactionEvent", {"eventType": "Updated"}).observations
    assert isinstance(metered, Metered)
    assert (metered.transaction_id, metered.is_own_id) == (None, False)
    (ended,) = receive("TransactionEvent", {"eventType": "Ended"}).observations
    assert isinstance(ended, SessionEnded)
    assert not ended.is_own_id


def test_a_start_has_its_register_also_without_the_right_context() -> None:
    """Firmware that names no Transaction.Begin still has a first register."""
    values = [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [{"value": 5}, {"value": 6, "context": "Other"}]}]
    started, *_ = receive("TransactionEvent", an_event("Started", meterValue=values)).observations
    assert isinstance(started, SessionStarted)
    assert started.meter_start_wh == 5
    (ended,) = receive("TransactionEvent", an_event("Ended", meterValue=values)).observations
    assert isinstance(ended, SessionEnded)
    assert ended.meter_stop_wh == 6


@pytest.mark.parametrize(
    ("about", "fields", "reason"),
    [
        ({}, {}, StopReason.UNKNOWN),
        ({}, {"triggerReason": "StopAuthorized"}, StopReason.CARD),
        ({}, {"triggerReason": "RemoteStop"}, StopReason.REMOTE),
        ({}, {"triggerReason": "EVDeparted"}, StopReason.VEHICLE_DISCONNECTED),
        ({}, {"idToken": {"idToken": "A", "type": "ISO14443"}}, StopReason.CARD),
        ({"stoppedReason": "Local"}, {}, StopReason.OTHER),
        ({"stoppedReason": "Remote"}, {"idToken": {"idToken": "A", "type": "ISO14443"}}, StopReason.REMOTE),
        ({"stoppedReason": "StoppedByEV"}, {}, StopReason.VEHICLE_STOPPED),
        ({"stoppedReason": "Bored"}, {}, StopReason.OTHER),
        *(({"stoppedReason": said}, {}, meant) for said, meant in REASONS.items()),
    ],
)
def test_reasons_in_our_words(about: dict[str, Any], fields: dict[str, Any], reason: StopReason) -> None:
    """Why a transaction ended; where no reason is given, what triggered the record says it."""
    (ended,) = receive("TransactionEvent", an_event("Ended", transactionInfo=about, **fields)).observations
    assert isinstance(ended, SessionEnded)
    assert ended.reason == reason


def test_every_reason_of_the_standard_is_known() -> None:
    """None but Local, which depends on who ended it, is missing."""
    assert set(REASONS) | {"Local"} == set(messages.ReasonEnumType.__args__)  # type: ignore[attr-defined]


def heard(component: str, variable: str, value: str, **fields: Any) -> tuple[object, ...]:
    event = {
        "timestamp": "2026-03-01T12:00:00Z",
        "trigger": "Delta",
        "actualValue": value,
        "component": {"name": component},
        "variable": {"name": variable},
        **fields,
    }
    return receive("NotifyEvent", {"eventData": [event]}).observations


@pytest.mark.parametrize(("component", "kind"), [*COMPONENTS.items(), ("Controller", AlertKind.INTERNAL)])
def test_every_component_has_its_kind(component: str, kind: AlertKind) -> None:
    """The table of faults; a problem ends when it is false or cleared."""
    (raised,) = heard(component, "Problem", "true")
    (gone,) = heard(component, "Problem", "false")
    (cleared,) = heard(component, "Problem", "true", cleared=True)
    assert isinstance(raised, FaultReported)
    assert isinstance(gone, FaultReported)
    assert isinstance(cleared, FaultReported)
    assert (raised.kind, raised.is_cleared, gone.is_cleared, cleared.is_cleared) == (kind, False, True, True)


def test_what_an_event_does_not_mean() -> None:
    """A value is a fault only where a monitor found it beyond its bounds, and only at a component that may be at fault."""
    assert heard("TemperatureSensor", "Temperature", "90", trigger="Periodic") == ()
    assert len(heard("TemperatureSensor", "Temperature", "90", trigger="Alerting")) == 1
    assert heard("EVSE", "Power", "9000", trigger="Alerting") == ()
    assert heard("TokenReader", "Active", "true") == ()
    assert len(heard("CableBreakawaySensor", "Active", "true")) == 1
    (status,) = heard("Connector", "AvailabilityState", "Faulted")
    assert isinstance(status, StatusReported)


@pytest.mark.parametrize(
    ("connector", "said", "is_heard"), [(1, "Available", True), (2, "Available", False), (2, "Occupied", True)]
)
def test_a_further_connector_that_is_free_says_nothing(connector: int, said: str, is_heard: bool) -> None:
    """An EVSE with two connectors is not free because one of them is."""
    status = {"timestamp": "2026-03-01T12:00:00Z", "connectorStatus": said, "evseId": 1, "connectorId": connector}
    assert bool(receive("StatusNotification", status).observations) is is_heard
    where = {"name": "Connector", "evse": {"id": 1, "connectorId": connector}}
    event = {"actualValue": said, "component": where, "variable": {"name": "AvailabilityState"}}
    assert bool(receive("NotifyEvent", {"eventData": [event]}).observations) is is_heard


def encoded(command: DeviceCommand) -> tuple[str, Any]:
    outgoing = V201.encode(command, evse=2, now=NOW)
    return outgoing.action, by_the_schema(outgoing.action, outgoing.payload, is_answer=False)


@pytest.mark.parametrize(
    ("command", "action", "payload"),
    [
        (
            StartCharging("04A1"),
            "RequestStartTransaction",
            {"idToken": {"idToken": "04A1", "type": "Central"}, "evseId": 2, "remoteStartId": 692392225},
        ),
        (StopCharging("AB-1"), "RequestStopTransaction", {"transactionId": "AB-1"}),
        (Restart(), "Reset", {"type": "Immediate"}),
        (Unlock(), "UnlockConnector", {"evseId": 2, "connectorId": 1}),
        (SetAvailability(True), "ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 2}}),
        (SetAvailability(False), "ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 2}}),
        (
            Trigger("StatusNotification"),
            "TriggerMessage",
            {"requestedMessage": "StatusNotification", "evse": {"id": 2, "connectorId": 1}},
        ),
        (Trigger("MeterValues"), "TriggerMessage", {"requestedMessage": "MeterValues", "evse": {"id": 2}}),
        (Trigger("BootNotification"), "TriggerMessage", {"requestedMessage": "BootNotification"}),
    ],
)
def test_commands_on_the_wire(command: DeviceCommand, action: str, payload: dict[str, Any]) -> None:
    """Each command is a call that keeps the standard."""
    assert encoded(command) == (action, payload)


def test_a_whole_station_is_taken_into_service_without_naming_an_evse() -> None:
    """As G04 has it."""
    outgoing = V201.encode(SetAvailability(True), evse=0, now=NOW)
    assert json.loads(msgspec.json.encode(outgoing.payload)) == {"operationalStatus": "Operative"}


def test_an_offer_for_a_session_with_steps_is_absolute() -> None:
    """Steps to come count from now, rounded down to 0.1 A, with the number of conductors where it is given."""
    steps = (OfferStep(0, 15.99), OfferStep(600, 15.9, 1), OfferStep(1200, 0.0))
    assert encoded(OfferCurrent(steps, "AB-1")) == (
        "SetChargingProfile",
        {
            "evseId": 2,
            "chargingProfile": {
                "id": 4,
                "stackLevel": 1,
                "chargingProfilePurpose": "TxProfile",
                "chargingProfileKind": "Absolute",
                "transactionId": "AB-1",
                "chargingSchedule": [
                    {
                        "id": 4,
                        "chargingRateUnit": "A",
                        "startSchedule": "2026-03-01T12:00:01.000Z",
                        "chargingSchedulePeriod": [
                            {"startPeriod": 0, "limit": 15.9},
                            {"startPeriod": 600, "limit": 15.9, "numberPhases": 1},
                            {"startPeriod": 1200, "limit": 0.0},
                        ],
                    }
                ],
            },
        },
    )


@pytest.mark.parametrize(
    ("offer", "purpose"),
    [
        (OfferCurrent((OfferStep(0, 6.0),), "AB-1"), "TxProfile"),
        (OfferCurrent((OfferStep(0, 0.0), OfferStep(1200, 6.04)), None), "TxDefaultProfile"),
    ],
)
def test_what_needs_no_clock_is_relative(offer: OfferCurrent, purpose: str) -> None:
    """A single step holds at once, and a default counts from each session's start."""
    _, payload = encoded(offer)
    profile = payload["chargingProfile"]
    assert (profile["chargingProfilePurpose"], profile["chargingProfileKind"]) == (purpose, "Relative")
    assert "startSchedule" not in profile["chargingSchedule"][0]


@pytest.mark.parametrize(
    "command",
    [
        StartCharging("x" * 37),
        StartCharging(""),
        StopCharging("x" * 37),
        OfferCurrent((OfferStep(0, 6.0),), ""),
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
        V201.encode(command, evse=1, now=NOW)


def sent(outgoing: tuple[Outgoing, ...]) -> list[Any]:
    return [by_the_schema(one.action, one.payload, is_answer=False) for one in outgoing]


def test_what_a_charger_is_set_to() -> None:
    """Each variable in a call of its own, so that one which is refused takes no other along."""
    wanted = V201.settings(meter_interval_s=30, heartbeat_interval_s=600)
    values = {
        f"{one['component']['name']}.{one['variable']['name']}": one["attributeValue"]
        for call in sent(wanted)
        for one in call["setVariableData"]
    }
    assert len(wanted) == len(values)
    assert values["OCPPCommCtrlr.HeartbeatInterval"] == "600"
    assert values["SampledDataCtrlr.TxUpdatedInterval"] == "30"
    assert values["TxCtrlr.TxStartPoint"] == "PowerPathClosed"
    assert values["TxCtrlr.TxStopPoint"] == "EVConnected,Authorized"
    assert values["AuthCtrlr.LocalPreAuthorize"] == "false"


@pytest.mark.parametrize(
    ("step", "can_switch", "named"),
    [
        (OfferStep(0, 10.0, 1, 2), True, {"numberPhases": 1, "phaseToUse": 2}),
        (OfferStep(0, 10.0, 1, 2), False, {"numberPhases": 1}),
        (OfferStep(0, 10.0, 1), True, {"numberPhases": 1}),
        (OfferStep(0, 10.0, 3, 2), True, {"numberPhases": 3}),
        (OfferStep(0, 10.0, None, 2), True, {}),
    ],
)
def test_a_terminal_is_named_to_who_can_switch_and_only_with_one_phase(
    step: OfferStep, can_switch: bool, named: dict[str, int]
) -> None:
    """Anything else would have to be refused as a whole, and the limit with it."""
    known = Capabilities(takes_phase_to_use=can_switch)
    outgoing = V201.encode(OfferCurrent((step,), None), evse=1, now=NOW, capabilities=known)
    said = by_the_schema("SetChargingProfile", outgoing.payload, is_answer=False)
    (schedule,) = said["chargingProfile"]["chargingSchedule"]
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.0, **named}]


@pytest.mark.parametrize(("value", "facts"), [("true", True), ("False", False), (None, None)])
def test_whether_a_charger_switches_phases_is_its_own_word(value: str | None, facts: bool | None) -> None:
    """Where it does not say, nothing is known, and no terminal is named."""
    (asked,) = [one.payload for one in (V201.ask_capabilities(),)]
    names = [
        one["variable"]["name"] for one in by_the_schema("GetVariables", asked, is_answer=False)["getVariableData"]
    ]
    assert names == ["RateUnit", "ProfileStackLevel", "ACPhaseSwitchingSupported"]
    result = {
        "component": {"name": "SmartChargingCtrlr"},
        "variable": {"name": "ACPhaseSwitchingSupported"},
        "attributeStatus": "UnknownVariable" if value is None else "Accepted",
        "attributeValue": value,
    }
    told = V201.capabilities(DeviceAnswer(DeviceVerdict.ACCEPTED, json.dumps({"getVariableResult": [result]})))
    assert told == ({} if facts is None else {"takes_phase_to_use": facts})


def a_value(component: str, variable: str, value: object, **attribute: str) -> dict[str, Any]:
    return {
        "component": {"name": component},
        "variable": {"name": variable},
        "variableAttribute": [{"value": value, **attribute}],
    }


def test_of_a_report_only_what_is_of_use_is_kept() -> None:
    """The actual value, and of several EVSEs the first one's; thousands of other variables leave nothing behind."""
    data = [
        a_value("SmartChargingCtrlr", "RateUnit", "W,A"),
        a_value("SmartChargingCtrlr", "RateUnit", "W"),
        a_value("SmartChargingCtrlr", "ProfileStackLevel", "8", type="MaxSet"),
        a_value("SmartChargingCtrlr", "ACPhaseSwitchingSupported", True, type="Actual"),
        *(a_value("Vendor", f"Variable{number}", "x") for number in range(5000)),
        {"component": 7},
    ]
    said = {"requestId": 1, "generatedAt": NOW.isoformat(), "seqNo": 3, "tbc": True, "reportData": data}
    received = receive("NotifyReport", said)
    values = {"SmartChargingCtrlr.RateUnit": "W,A", "SmartChargingCtrlr.ACPhaseSwitchingSupported": "True"}
    assert received.part == ReportPart(1, 3, is_last=False, values=values)
    assert V201.reported(values) == {"rate_unit": "A", "takes_phase_to_use": True}
    assert (received.observations, received.answer_kind) == ((), AnswerKind.OTHER)


def test_a_report_without_a_word_is_its_own_last_part() -> None:
    """As the standard has it where nothing is said of more to come."""
    assert receive("NotifyReport", {}).part == ReportPart(None, 0, is_last=True, values={})


def test_the_whole_of_a_report_is_asked_for_first() -> None:
    """Then what can be set, then what there is at least."""
    assert [one["reportBase"] for one in sent(V201.ask_report(4))] == [
        "FullInventory",
        "ConfigurationInventory",
        "SummaryInventory",
    ]


def test_what_another_portal_has_set_is_cleared_purpose_by_purpose() -> None:
    """A request that names neither a profile nor a criterion would say nothing."""
    assert [one["chargingProfileCriteria"] for one in sent(V201.clear_profiles())] == [
        {"chargingProfilePurpose": "ChargingStationMaxProfile"},
        {"chargingProfilePurpose": "TxDefaultProfile"},
        {"chargingProfilePurpose": "TxProfile"},
    ]


def test_what_a_charger_is_asked_when_it_comes_back() -> None:
    """Whether a car is there, and what its transaction does."""
    assert [one["requestedMessage"] for one in sent(V201.questions(evse=1))] == [
        "StatusNotification",
        "TransactionEvent",
    ]


@pytest.mark.parametrize(
    ("action", "payload", "verdict"),
    [
        ("Reset", b'{"status":"Accepted"}', DeviceAnswer(DeviceVerdict.ACCEPTED, "Accepted")),
        ("Reset", b'{"status":"Scheduled"}', DeviceAnswer(DeviceVerdict.ACCEPTED, "Scheduled")),
        ("UnlockConnector", b'{"status":"Unlocked"}', DeviceAnswer(DeviceVerdict.ACCEPTED, "Unlocked")),
        (
            "UnlockConnector",
            b'{"status":"UnlockFailed","statusInfo":{"reasonCode":"Stuck"}}',
            DeviceAnswer(DeviceVerdict.REJECTED, "UnlockFailed: Stuck"),
        ),
        ("Reset", b"{}", DeviceAnswer(DeviceVerdict.ERROR, "the answer has no status")),
        ("Reset", b"[]", DeviceAnswer(DeviceVerdict.ERROR, "the payload is no object")),
        (
            "SetVariables",
            b'{"setVariableResult":[{"attributeStatus":"Accepted"},{"attributeStatus":"UnknownVariable"}]}',
            DeviceAnswer(DeviceVerdict.REJECTED, "UnknownVariable"),
        ),
        (
            "SetVariables",
            b'{"setVariableResult":[{"attributeStatus":"RebootRequired"}]}',
            DeviceAnswer(DeviceVerdict.ACCEPTED, "RebootRequired"),
        ),
        ("SetVariables", b"{}", DeviceAnswer(DeviceVerdict.ERROR, "the answer has no status")),
        ("SetVariables", b"7", DeviceAnswer(DeviceVerdict.ERROR, "the payload is no object")),
        ("GetLocalListVersion", b'{"versionNumber":7}', DeviceAnswer(DeviceVerdict.ACCEPTED, '{"versionNumber":7}')),
    ],
)
def test_answers_to_commands(action: str, payload: bytes, verdict: DeviceAnswer) -> None:
    """The charger's word for it, with its reason, is kept beside the verdict."""
    assert V201.verdict(action, payload) == verdict


def test_an_error_is_an_answer_too() -> None:
    """A CALLERROR says why in the charger's words."""
    assert V201.error_verdict(CallError("1", "NotSupported", "no")).detail == "NotSupported: no"


def test_decisions_and_boots_on_the_wire() -> None:
    """Every decision and boot verdict has its word in the standard."""
    for decision in AuthorizationDecision:
        by_the_schema("Authorize", V201.authorize(decision), is_answer=True)
        by_the_schema("TransactionEvent", V201.started("1", decision), is_answer=True)
    for verdict in BootVerdict:
        boot = V201.boot(verdict, now=NOW + timedelta(hours=1), interval_s=60)
        by_the_schema("BootNotification", boot, is_answer=True)


def accepted(detail: str) -> DeviceAnswer:
    return DeviceAnswer(DeviceVerdict.ACCEPTED, detail)


def test_the_version_of_a_list() -> None:
    """0 is an empty list; an error, a refusal and nonsense are none."""
    assert sent((V201.ask_list_version(),)) == [{}]
    assert V201.list_version(accepted('{"versionNumber":0}')) == 0
    assert V201.list_version(accepted('{"versionNumber":-1}')) is None
    assert V201.list_version(accepted("nonsense")) is None
    assert V201.list_version(DeviceAnswer(DeviceVerdict.ERROR, "NotSupported: ")) is None


def told(component: str, variable: str, value: str, status: str = "Accepted") -> dict[str, Any]:
    return {
        "attributeStatus": status,
        "attributeValue": value,
        "component": {"name": component},
        "variable": {"name": variable},
    }


def test_the_limits_of_a_list() -> None:
    """How much a message may hold, and which settings are not yet as they have to be."""
    (asked,) = sent((V201.ask_list_limits(),))
    assert len(asked["getVariableData"]) == 7
    results = [
        told("LocalAuthListCtrlr", "ItemsPerMessage", "20"),
        told("LocalAuthListCtrlr", "Enabled", "True"),
        told("AuthCtrlr", "LocalAuthorizeOffline", "true", "Rejected"),
    ]
    limits = V201.list_limits(accepted(json.dumps({"getVariableResult": results})))
    assert (limits.most_entries, limits.most_per_message) == (None, 20)
    missing = [(name, value) for name, value, _ in V201.list_settings(limits, is_open=False)]
    assert missing == [
        ("AuthCtrlr.LocalAuthorizeOffline", "true"),
        ("AuthCacheCtrlr.Enabled", "false"),
        ("AuthCtrlr.LocalPreAuthorize", "false"),
        ("AuthCtrlr.OfflineTxForUnknownIdEnabled", "false"),
    ]
    assert V201.list_settings(limits, is_open=True)[-1][:2] == ("AuthCtrlr.OfflineTxForUnknownIdEnabled", "true")
    assert not V201.asks_first(limits.values)
    assert V201.asks_first({"AuthCtrlr.LocalPreAuthorize": "False"})
    assert V201.list_limits(accepted("nonsense")) == ListLimits()
    none = json.dumps({"getVariableResult": [told("LocalAuthListCtrlr", "Available", "false")]})
    limits = V201.list_limits(accepted(none))
    assert (limits.most_entries, V201.list_settings(limits, is_open=False)) == (0, ())


def test_a_list_on_the_wire() -> None:
    """Entries by the kind of their number, with their end; what is removed has no word about it; nothing at all is an empty list."""
    update = Update(is_full=False, entries={"04A1B2C3": NOW, "E004010012345678": None}, removed=("AABBCCDD",))
    (payload,) = sent((V201.send_list(update, 7),))
    assert payload == {
        "versionNumber": 7,
        "updateType": "Differential",
        "localAuthorizationList": [
            {"idToken": {"idToken": "AABBCCDD", "type": "ISO14443"}},
            {
                "idToken": {"idToken": "04A1B2C3", "type": "ISO14443"},
                "idTokenInfo": {"status": "Accepted", "cacheExpiryDateTime": "2026-03-01T12:00:01.000Z"},
            },
            {"idToken": {"idToken": "E004010012345678", "type": "ISO15693"}, "idTokenInfo": {"status": "Accepted"}},
        ],
    }
    (empty,) = sent((V201.send_list(Update(is_full=True, entries={}, removed=()), 8),))
    assert empty == {"versionNumber": 8, "updateType": "Full"}
