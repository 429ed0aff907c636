"""Requests to systems of other companies: signed, to addresses that were looked at first, and with hard limits.

A URL is somebody's input. Whenever a connection is made its name is resolved here, every address is judged, and the connection
goes to a judged address, so that a name cannot lead elsewhere between the look and the call.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import math
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit
from weakref import WeakValueDictionary

import httpcore

from domain.clock import Clock
from domain.errors import ErrorCode, StatusError, UnavailableError, ValidationError, invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MOST_ANSWER_BYTES: Final = 64 * 1024
SECRET_PREFIX: Final = "whsec_"  # noqa: S105  how a secret begins
AT_ONCE_TO_ONE: Final = 32
"""Calls to one host: all the chargers of a site may ask at once, and who hangs leaves the others their connections."""
_MOST_CONNECTIONS: Final = 400
_KEPT_CONNECTIONS: Final = 100
_KEPT_FOR_S: Final = 30.0
_RESOLVED_FOR_S: Final = 30.0
_MOST_RESOLVED: Final = 1_000
_RESOLVE_TIMEOUT_S: Final = 5.0
_TROUBLE: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = ipaddress.IPv6Network("64:ff9b:1::/48")


@dataclass(frozen=True, slots=True)
class _Resolved:
    addresses: tuple[Address, ...]
    until_s: float


class SignedCallOuts:
    """CallOuts of domain.ports. `allowed` are networks that the operator lets calls into although they are private."""

    def __init__(self, clock: Clock, *, allowed: Sequence[Network] = ()) -> None:
        self._clock = clock
        self._judge = _Judge(clock, allowed)
        self._hosts: WeakValueDictionary[tuple[str | None, int | None], asyncio.Semaphore] = WeakValueDictionary()
        # httpcore follows no redirects and knows no proxies: a call goes where it was looked at, or nowhere.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=_MOST_CONNECTIONS,
            max_keepalive_connections=_KEPT_CONNECTIONS,
            keepalive_expiry=_KEPT_FOR_S,
            network_backend=_JudgedBackend(self._judge),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()

    async def check(self, url: str) -> None:
        """Returns when the URL may be called. ValidationError (ADDRESS_REFUSED) when it is none, or leads where calls may not go."""
        try:
            async with asyncio.timeout(_RESOLVE_TIMEOUT_S):
                await self._judge.url(url)
        except TimeoutError:
            raise _refused("The name in this address was not resolved in time.") from None

    async def post(self, url: str, *, event_id: str, content: bytes, secrets: Sequence[str], timeout_s: float) -> bytes:
        """The body of a 2xx answer. UnavailableError with the reason for everything else, at the latest after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._posted(url, event_id, content, secrets)
        except TimeoutError:
            raise UnavailableError(f"No answer within {timeout_s:g} s.") from None
        except ValidationError as error:
            raise UnavailableError(error.message) from error
        except (*_TROUBLE, OSError) as error:
            raise UnavailableError(f"The call failed: {type(error).__name__}.") from error

    async def _posted(self, url: str, event_id: str, content: bytes, secrets: Sequence[str]) -> bytes:
        parts = await self._judge.url(url)
        at = int(self._clock.now().timestamp())
        headers = [
            ("Host", parts.netloc),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(content))),
            ("Accept", "application/json"),
            # A compressed answer can be small on the wire and endless here.
            ("Accept-Encoding", "identity"),
            ("User-Agent", "Lade"),
            *signed_headers(event_id, at, content, secrets).items(),
        ]
        host = self._hosts.setdefault((parts.hostname, parts.port), asyncio.Semaphore(AT_ONCE_TO_ONE))
        async with host, self._pool.stream("POST", url, headers=headers, content=content) as answer:
            if not 200 <= answer.status < 300:
                raise StatusError(answer.status, retry_after_s=self._retry_after_s(answer))
            encodings = [value for name, value in answer.headers if name.lower() == b"content-encoding"]
            if any(value.strip().lower() not in (b"", b"identity") for value in encodings):
                raise UnavailableError("The answer is compressed, which was not asked for.")
            return await _body(answer)

    def _retry_after_s(self, answer: httpcore.Response) -> int | None:
        """As RFC 9110 §10.2.3 has it: seconds, or an instant. None where there is none that can be read."""
        found = next((value for name, value in answer.headers if name.lower() == b"retry-after"), b"")
        text = found.decode("latin-1").strip()
        if text.isdecimal():
            return int(text[:9])
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return max(0, math.ceil((at - self._clock.now()).total_seconds()))


class _Judge:
    """Knows where calls may go."""

    def __init__(self, clock: Clock, allowed: Sequence[Network]) -> None:
        self._clock = clock
        self._allowed = tuple(allowed)
        self._resolved: dict[tuple[str, int], _Resolved] = {}

    async def url(self, url: str) -> SplitResult:
        """Its parts. ValidationError (ADDRESS_REFUSED) when it is none that may be called."""
        parts = _parts(url)
        found = await self._judged(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        if parts.scheme != "https" and not all(map(self._is_allowed, found)):
            raise _refused("Calls go to https addresses only.")
        return parts

    async def address(self, host: str, port: int) -> str:
        """A judged address of the name."""
        return str((await self._judged(host, port))[0])

    async def _judged(self, host: str, port: int) -> Sequence[Address]:
        known = self._resolved.get((host, port))
        if known is not None and self._clock.monotonic() < known.until_s:
            return known.addresses
        found = await _addresses(host, port)
        if not found or not all(self._is_allowed(one) or is_public(one) for one in found):
            raise _refused("This address leads into a private network, where calls do not go from here.")
        if len(self._resolved) >= _MOST_RESOLVED:
            self._resolved.clear()
        self._resolved[host, port] = _Resolved(tuple(found), self._clock.monotonic() + _RESOLVED_FOR_S)
        return found

    def _is_allowed(self, address: Address) -> bool:
        return any(address.version == one.version and address in one for one in self._allowed)


class _JudgedBackend(httpcore.AsyncNetworkBackend):
    """Connects to judged addresses only; the name stays that of the certificate."""

    def __init__(self, judge: _Judge) -> None:
        self._judge = judge
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to a judged address of that name."""
        address = await self._judge.address(host, port)
        return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("This is not a web address.") from None
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if not is_plain or parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise _refused("Write a whole https address, for example https://booking.example/lade.")
    if parts.username is not None or parts.password is not None:
        raise _refused("An address with a name and password in it is not called: calls are signed instead.")
    return parts


def signed_headers(event_id: str, at: int, content: bytes, secrets: Sequence[str]) -> Mapping[str, str]:
    """The headers of Standard Webhooks: id, seconds since 1970, and a signature by each secret."""
    signed = f"{event_id}.{at}.".encode() + content
    signatures = [
        "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode() for secret in secrets
    ]
    return {"webhook-id": event_id, "webhook-timestamp": str(at), "webhook-signature": " ".join(signatures)}


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX))


def is_public(address: Address) -> bool:
    """Whether the address is one of the whole world, also where it hides another one inside."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, if it does: mapped, 6to4, Teredo, NAT64."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or address in _NAT64_LOCAL:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


async def _addresses(host: str, port: int) -> list[Address]:
    """Every address of the name. ValidationError when there is none."""
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _refused("The name in this address is not known.") from None
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


async def _body(answer: httpcore.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_stream():
        content += chunk
        if len(content) > MOST_ANSWER_BYTES:
            raise UnavailableError(f"The answer is larger than {MOST_ANSWER_BYTES // 1024} KiB.")
    return bytes(content)


def _refused(message: str) -> ValidationError:
    return invalid("url", message, ErrorCode.ADDRESS_REFUSED)
