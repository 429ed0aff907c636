"""Calls to systems of other companies: where they may go, how they are signed, and what hostile answers cost."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import ipaddress
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime

import pytest

from app import call_outs
from app.call_outs import AT_ONCE_TO_ONE, MOST_ANSWER_BYTES, SignedCallOuts, is_public
from domain.errors import ErrorCode, StatusError, UnavailableError, ValidationError
from tests.factories import NOW
from tests.fakes import HandClock

SECRET, OLD_SECRET = (
    "whsec_" + base64.b64encode(text).decode() for text in (b"a key of ours, thirty", b"the one before it")
)
LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")
Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class System:
    """An HTTP server that does as it is told, and keeps what it heard."""

    url: str = ""
    connections: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def a_system(answer: bytes | Answering) -> AsyncIterator[System]:
    """A server on a free port of this machine."""
    system = System()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        system.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next(
                    int(one.split(":")[1]) for one in head.split("\r\n") if one.lower().startswith("content-length")
                )
                system.heads.append(head)
                system.bodies.append(await reader.readexactly(length))
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(reader, writer)
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        system.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/lade"
        yield system


def plain(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _post(url: str, *, timeout_s: float = 5.0, secrets: tuple[str, ...] = (SECRET,), times: int = 1) -> bytes:
    body = b""
    async with SignedCallOuts(HandClock(NOW), allowed=[LOOPBACK]) as calls:
        for _ in range(times):
            body = await calls.post(url, event_id="event-1", content=b'{"a":1}', secrets=secrets, timeout_s=timeout_s)
    return body


def _verified(head: str, body: bytes, secret: str) -> bool:
    """As the published specification of Standard Webhooks says, and nothing of ours."""
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in head.split("\r\n"))
    }
    content = headers["webhook-id"].encode() + b"." + headers["webhook-timestamp"].encode() + b"." + body
    key = base64.b64decode(secret[len("whsec_") :])
    wanted = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    versions = [one.split(",", 1) for one in headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(given, wanted) for version, given in versions)


async def test_a_call_is_signed_by_every_secret_of_the_time() -> None:
    """A receiver with the new or the old one believes it, one with another does not; the time is in it, in whole seconds."""
    async with a_system(plain(b'{"ok":true}')) as system:
        assert await _post(system.url, secrets=(SECRET, OLD_SECRET)) == b'{"ok":true}'
    ((head,), (body,)) = system.heads, system.bodies
    assert body == b'{"a":1}'
    assert _verified(head, body, SECRET)
    assert _verified(head, body, OLD_SECRET)
    assert not _verified(head, body, "whsec_" + base64.b64encode(b"another").decode())
    assert not _verified(head, body + b" ", SECRET)
    assert f"webhook-timestamp: {int(NOW.timestamp())}" in head
    assert "webhook-id: event-1" in head
    assert SECRET not in head


async def test_each_attempt_is_signed_anew_under_the_same_id() -> None:
    """A receiver that refuses old times takes a repetition, and knows it by its id."""
    clock = HandClock(NOW)
    async with a_system(plain(b"{}")) as system, SignedCallOuts(clock, allowed=[LOOPBACK]) as calls:
        for _ in range(2):
            await calls.post(system.url, event_id="event-1", content=b"{}", secrets=(SECRET,), timeout_s=5.0)
            clock.advance(timedelta(hours=1))
    for hours, head in enumerate(system.heads):
        assert f"webhook-timestamp: {int(NOW.timestamp()) + 3600 * hours}\r\n" in head
        assert "webhook-id: event-1\r\n" in head
        assert _verified(head, b"{}", SECRET)


async def test_a_connection_serves_many_calls() -> None:
    """A handshake each time would cost more than the answer."""
    async with a_system(plain(b"{}")) as system:
        await _post(system.url, times=5)
    assert (len(system.heads), system.connections) == (5, 1)


async def test_a_host_that_hangs_leaves_the_others_their_connections() -> None:
    """So many calls go to one host at a time; whoever comes after them waits before there is a connection."""
    async with (
        a_system(_never) as slow,
        a_system(plain(b"{}")) as quick,
        SignedCallOuts(HandClock(NOW), allowed=[LOOPBACK]) as calls,
    ):

        def post(url: str, timeout_s: float) -> Coroutine[None, None, bytes]:
            return calls.post(url, event_id="event-1", content=b"{}", secrets=(SECRET,), timeout_s=timeout_s)

        hanging = [asyncio.create_task(post(slow.url, 60.0)) for _ in range(600)]
        while len(slow.heads) < AT_ONCE_TO_ONE:  # noqa: ASYNC110  the server keeps no event of it
            await asyncio.sleep(0)
        assert await post(quick.url, 5.0) == b"{}"
        assert len(slow.heads) == slow.connections == AT_ONCE_TO_ONE
        for one in hanging:
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def _never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def _drips(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
        await writer.drain()


async def _headers_without_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


async def _says_more_than_it_sends(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")
    await writer.drain()


async def _a_hundred_megabytes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    for _megabyte in range(100):
        writer.write(b"x" * 1_000_000)
        await writer.drain()


BOMB = gzip.compress(b"0" * 10_000_000)
REDIRECT = plain(b"", "Location: http://169.254.169.254/latest/meta-data/", status="302 Found")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_never, "No answer within 0.3 s"),
        (_drips, "No answer within 0.3 s"),
        (_endless, "larger than 64 KiB"),
        (_a_hundred_megabytes, "larger than 64 KiB"),
        (_headers_without_end, "call failed"),
        (_says_more_than_it_sends, "call failed"),
        (b"garbage\r\n\r\n", "call failed"),
        (plain(BOMB, "Content-Encoding: gzip"), "compressed"),
        (plain(b"x" * (MOST_ANSWER_BYTES + 1)), "larger than 64 KiB"),
        (REDIRECT, "status 302"),
        (plain(b"", status="410 Gone"), "status 410"),
        (plain(b"{}", status="500 Oops"), "status 500"),
    ],
)
async def test_a_hostile_answer_is_no_answer(answer: bytes | Answering, reason: str) -> None:
    """In time, without its content in the reason, and without following it anywhere."""
    began = time.monotonic()
    async with a_system(answer) as system:
        with pytest.raises(UnavailableError, match=reason) as refused:
            await _post(system.url, timeout_s=0.3)
    assert time.monotonic() - began < 5.0
    assert "meta-data" not in refused.value.message
    assert SECRET not in str(refused.value)


async def test_the_largest_answer_is_taken() -> None:
    """Exactly 64 KiB."""
    async with a_system(plain(b"x" * MOST_ANSWER_BYTES)) as system:
        assert len(await _post(system.url)) == MOST_ANSWER_BYTES


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://172.16.0.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://0.0.0.0/",
        "https://[::]/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "http://93.184.216.34/",
        "https://kari:secret@93.184.216.34/",
        "https://93.184.216.34:0/",
        "https://93.184.216.34:99999/",
        "https://",
        "https:///path",
        "ftp://93.184.216.34/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://exam ple.com/",
        "https://example.com\r\nHost: inner/",
        "https://١٢٧.0.0.1/",
        "not an address",
        "",
    ],
)
async def test_where_calls_do_not_go(url: str) -> None:
    """In whatever form it is written; neither when it is set nor when it is called."""
    async with SignedCallOuts(HandClock(NOW)) as calls:
        with pytest.raises(ValidationError) as refused:
            await calls.check(url)
        assert refused.value.code is ErrorCode.ADDRESS_REFUSED
        with pytest.raises(UnavailableError):
            await calls.post(url, event_id="1", content=b"{}", secrets=(SECRET,), timeout_s=2.0)


@pytest.mark.parametrize("url", ["https://93.184.216.34/lade", "https://[2606:2800:220:1::1]:8443/lade?x=1"])
async def test_where_calls_go(url: str) -> None:
    """The whole world, over https, to any port."""
    async with SignedCallOuts(HandClock(NOW)) as calls:
        await calls.check(url)


async def test_the_operator_lets_calls_into_a_network_of_their_own() -> None:
    """That one only, there also without TLS."""
    network = ipaddress.IPv4Network("10.20.0.0/16")
    async with SignedCallOuts(HandClock(NOW), allowed=[network]) as calls:
        await calls.check("http://10.20.3.4:8080/lade")
        for url in ("https://10.21.0.1/", "https://127.0.0.1/", "https://192.168.0.1/"):
            with pytest.raises(ValidationError):
                await calls.check(url)


async def test_a_name_that_leads_elsewhere_a_moment_later_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was judged is the one that is connected to; when it is resolved anew, it is judged anew."""
    answers = ["93.184.216.34", "127.0.0.1"]

    async def resolved(host: str, port: int) -> list[call_outs.Address]:
        return [ipaddress.ip_address(answers.pop(0))]

    monkeypatch.setattr(call_outs, "_addresses", resolved)
    clock = HandClock(NOW)
    async with SignedCallOuts(clock) as calls:
        await calls.check("https://rebinding.example/")
        assert await calls._judge.address("rebinding.example", 443) == "93.184.216.34"
        await clock.sleep(31)
        with pytest.raises(ValidationError):
            await calls._judge.address("rebinding.example", 443)
    assert answers == []


async def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of them is taken is chance."""

    async def resolved(host: str, port: int) -> list[call_outs.Address]:
        return [ipaddress.ip_address("93.184.216.34"), ipaddress.ip_address("192.168.0.7")]

    monkeypatch.setattr(call_outs, "_addresses", resolved)
    async with SignedCallOuts(HandClock(NOW)) as calls:
        with pytest.raises(ValidationError):
            await calls.check("https://two.example/")


def test_what_is_public() -> None:
    """Teredo and 6to4 are what they stand for."""
    for text in ("93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "2002:5db8:d822::"):
        assert is_public(ipaddress.ip_address(text)), text
    for text in (
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:db8::1",
        "240.0.0.1",
        "ff02::1",
    ):
        assert not is_public(ipaddress.ip_address(text)), text


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        (format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120),
        (format_datetime(NOW - timedelta(minutes=2), usegmt=True), 0),
        ("soon", None),
        ("-5", None),
        ("9" * 40, 999_999_999),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2027 00:00:00 +99999999999999999999", None),
    ],
)
async def test_how_long_a_system_wants_to_be_left_alone_is_told(header: str, seconds: int | None) -> None:
    """Seconds or an instant (RFC 9110 §10.2.3); what cannot be read counts as nothing."""
    async with a_system(plain(b"", f"Retry-After: {header}", status="503 Service Unavailable")) as system:
        with pytest.raises(StatusError) as caught:
            await _post(system.url)
    assert (caught.value.status, caught.value.retry_after_s) == (503, seconds)
