"""What is kept of a message for people to read."""

import json
from typing import Any

import msgspec
import pytest

from devices.ocpp.masking import HIDDEN, LONGEST, readable

CARD = "04A1B2C3D4E5F6"
SHOWN = "04…F6"


@pytest.mark.parametrize(
    ("action", "payload", "kept"),
    [
        ("Authorize", {"idTag": CARD}, {"idTag": SHOWN}),
        ("StartTransaction", {"IdTag": CARD, "meterStart": 7}, {"IdTag": SHOWN, "meterStart": 7}),
        ("Authorize", {"idTagInfo": {"parentIdTag": CARD}}, {"idTagInfo": {"parentIdTag": SHOWN}}),
        ("Authorize", {"idToken": {"idToken": CARD, "type": "X"}}, {"idToken": {"idToken": SHOWN, "type": "X"}}),
        ("TransactionEvent", {"groupIdToken": {"idToken": CARD}}, {"groupIdToken": {"idToken": SHOWN}}),
        (
            "Authorize",
            {"additionalInfo": [{"additionalIdToken": CARD}]},
            {"additionalInfo": [{"additionalIdToken": SHOWN}]},
        ),
        (
            "SendLocalList",
            {"localAuthorizationList": [{"idTag": CARD}]},
            {"localAuthorizationList": [{"idTag": SHOWN}]},
        ),
        (
            "ChangeConfiguration",
            {"key": "authorizationKey", "value": "abc"},
            {"key": "authorizationKey", "value": HIDDEN},
        ),
        (
            "GetConfiguration",
            {"configurationKey": [{"key": "AuthorizationKey", "value": "abc"}, {"key": "X", "value": "y"}]},
            {"configurationKey": [{"key": "AuthorizationKey", "value": HIDDEN}, {"key": "X", "value": "y"}]},
        ),
        (
            "SetVariables",
            {"setVariableData": [{"attributeValue": "abc", "variable": {"name": "BasicAuthPassword"}}]},
            {"setVariableData": [{"attributeValue": HIDDEN, "variable": {"name": "BasicAuthPassword"}}]},
        ),
        ("DataTransfer", {"vendorId": "V", "data": CARD}, {"vendorId": "V", "data": HIDDEN}),
        ("GetDiagnostics", {"location": "ftp://me:pw@host/x"}, {"location": f"ftp://{HIDDEN}@host/x"}),
        (
            "StopTransaction",
            {"sampledValue": [{"value": f'OCMF|{{"ID":"{CARD}"}}|{{}}', "format": "SignedData"}, {"value": "7"}]},
            {"sampledValue": [{"value": HIDDEN, "format": "SignedData"}, {"value": "7"}]},
        ),
        (
            "TransactionEvent",
            {"signedMeterValue": {"signedMeterData": CARD, "publicKey": "30"}},
            {"signedMeterValue": {"signedMeterData": HIDDEN, "publicKey": "30"}},
        ),
        ("MeterValues", {"connectorId": 1, "note": "as it is"}, {"connectorId": 1, "note": "as it is"}),
    ],
)
def test_nobody_learns_a_card_or_a_password(action: str, payload: dict[str, Any], kept: dict[str, Any]) -> None:
    """Of a card its first and last signs, of a password nothing, of everything else all."""
    assert json.loads(readable(action, msgspec.json.encode(payload))) == kept


def test_what_says_nothing_secret_is_kept_to_the_sign() -> None:
    """Spaces, order and spelling are what a vendor is asked about."""
    payload = b'{ "meterValue" : [ ],"x":1.50}'
    assert readable("MeterValues", payload) == payload.decode()


def test_a_huge_message_is_cut_and_one_that_is_no_json_left_out() -> None:
    """Neither fills the table or tells what could not be looked at."""
    assert len(readable("MeterValues", b'"' + b"x" * 100_000 + b'"')) == LONGEST
    assert readable("Authorize", b'{"idTag": "04A1B2C3"') == HIDDEN
