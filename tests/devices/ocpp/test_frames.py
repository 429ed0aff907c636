import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.ocpp.frames import (
    Call,
    CallError,
    CallResult,
    ErrorCode,
    Malformed,
    encode_call,
    encode_error,
    encode_result,
    parse,
)
from devices.ocpp.v16.messages import Heartbeat, HeartbeatResponse, Reset

HOSTILE = [
    b"",
    b"\xff\xfe",
    b"null",
    b"{}",
    b"[]",
    b"[2]",
    b"[" * 100_000,
    b'[2,"a","b",' + b"[" * 50_000 + b"]" * 50_000 + b"]",
    b'[2,"a","b",{"x":1e999}]',
    b'[2,"a","b",{"x":' + b"9" * 10_000 + b"}]",
    b'[2,"\\ud800","b",{}]',
    "[2,\"\ud800\",\"b\",{}]",
    b'[99999999999999999999999999,"a"]',
    b"[2.5]",
    b'["2","a","Heartbeat",{}]',
]  # fmt: skip


def test_the_three_kinds_are_told_apart() -> None:
    """A CALL, a CALLRESULT and a CALLERROR come with their payloads undecoded."""
    call, result, error = parse('[2,"a","Heartbeat",{"x":[1]}]'), parse(b'[3,"b",{}]'), parse('[4,"c","Odd","why",{}]')
    assert isinstance(call, Call)
    assert (call.message_id, call.action, bytes(call.payload)) == ("a", "Heartbeat", b'{"x":[1]}')
    assert isinstance(result, CallResult)
    assert (result.message_id, bytes(result.payload)) == ("b", b"{}")
    assert isinstance(error, CallError)
    assert (error.message_id, error.code, error.description) == ("c", "Odd", "why")


@pytest.mark.parametrize(
    ("sent", "read"),
    [("\\ud83d", "\ufffd"), ("\\uDE00x", "\ufffdx"), ("\\ud83d\\ude00", "😀"), ("\\ud83d\\ud83d\\ude00", "\ufffd😀")],
)
def test_half_a_character_spoils_no_message(sent: str, read: str) -> None:
    """A text that was cut within a pair of escapes is read, with a mark in that place."""
    call = parse(f'[2,"a","DataTransfer",{{"vendorId":"{sent}"}}]')
    assert isinstance(call, Call)
    assert (call.message_id, msgspec.json.decode(call.payload)) == ("a", {"vendorId": read})


def test_what_is_left_out_is_empty() -> None:
    """A CALL without payload and a CALLERROR without words are taken as they are meant; surplus elements are ignored."""
    call, error, surplus = parse('[2,"a","Heartbeat"]'), parse('[4,"c"]'), parse('[3,"b",{},7]')
    assert isinstance(call, Call)
    assert bytes(call.payload) == b"{}"
    assert isinstance(error, CallError)
    assert error.code == "GenericError"
    assert isinstance(surplus, CallResult)


@pytest.mark.parametrize(
    ("text", "message_id", "code"),
    [
        ("nonsense", None, ErrorCode.FORMATION_VIOLATION),
        ('[2,"a"', None, ErrorCode.FORMATION_VIOLATION),
        ('[2,"a",5,{}]', "a", ErrorCode.PROTOCOL_ERROR),
        ('[2,"a"]', "a", ErrorCode.PROTOCOL_ERROR),
        ("[2,5,null,{}]", None, ErrorCode.PROTOCOL_ERROR),
        ("[3,5,{}]", None, ErrorCode.PROTOCOL_ERROR),
        ('[4,"a",5]', None, ErrorCode.PROTOCOL_ERROR),
        ('[7,"a",{}]', None, ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_what_is_no_frame_says_whom_to_answer(text: str, message_id: str | None, code: ErrorCode) -> None:
    """Only a CALL with a readable id can be answered; nothing else ever is."""
    frame = parse(text)
    assert isinstance(frame, Malformed)
    assert (frame.message_id, frame.code) == (message_id, code)
    assert len(frame.description) <= 255


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_a_verdict(text: str | bytes) -> None:
    """Depth, size, surrogates and broken UTF-8 never raise."""
    assert isinstance(parse(text), (Call, Malformed))


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200)
    | st.text(max_size=100)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)
)
def test_random_text_never_raises(text: str | bytes) -> None:
    """Whatever comes is one of the four."""
    assert isinstance(parse(text), (Call, CallResult, CallError, Malformed))


def test_what_we_write_we_can_read() -> None:
    """Frames of ours have the standard's form; absent fields are left out."""
    assert encode_call("1", "Heartbeat", Heartbeat()) == '[2,"1","Heartbeat",{}]'
    assert encode_call("2", "Reset", Reset(type="Soft")) == '[2,"2","Reset",{"type":"Soft"}]'
    assert encode_result("3", HeartbeatResponse(current_time="now")) == '[3,"3",{"currentTime":"now"}]'
    assert encode_error("4", ErrorCode.NOT_IMPLEMENTED, "x" * 300) == f'[4,"4","NotImplemented","{"x" * 255}",{{}}]'
    assert msgspec.json.decode(encode_error("5", ErrorCode.GENERIC_ERROR)) == [4, "5", "GenericError", "", {}]
