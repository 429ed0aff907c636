"""From whom a connection really comes: what a reverse proxy says of its clients is believed of the proxies that the operator names."""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from app.client_certificates import NOBODY, UnreadableCertificateError, names_in
from app.settings import LOOPBACK, Network
from devices.endpoint import CLIENT_NAMES

_FOR: Final = b"x-forwarded-for"
_PROTO: Final = b"x-forwarded-proto"
_PEER: Final = "lade.peer"
"""Of the scope: the other end of the connection, where `client` is whoever is behind it."""
_SCHEMES: Final = {
    ("http", b"http"): "http",
    ("http", b"https"): "https",
    ("websocket", b"http"): "ws",
    ("websocket", b"https"): "wss",
    ("websocket", b"ws"): "ws",
    ("websocket", b"wss"): "wss",
}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_log = structlog.get_logger(__name__)


class TrustedProxies:
    """The reverse proxies whose headers are believed."""

    def __init__(self, networks: Iterable[Network] = LOOPBACK) -> None:
        self._networks = tuple(networks)

    def trusts(self, address: Address | None) -> bool:
        """Whether a proxy of ours has this address."""
        return address is not None and any(address in network for network in self._networks)

    def passed_on(self, scope: Scope) -> bool:
        """Whether a trusted proxy passed this request on: only then may a header be believed that such a proxy sets."""
        return self.trusts(scope.get(_PEER))

    def client(self, peer: Address, forwarded: str) -> Address:
        """Who is behind a trusted peer by its X-Forwarded-For: the last one that is no trusted proxy.

        Each proxy writes at the right whom it heard from; what stands further left came with the request and may be invented. A word that
        is no address (RFC 7239 allows them) hides who it was: then it is the proxy that wrote it.
        """
        found = peer
        for hop in reversed(forwarded.split(",")):
            address = _address(hop)
            if address is None:
                break
            found = address
            if not self.trusts(address):
                break
        return found


class ProxiesMiddleware:
    """The scope's client is whoever is behind the trusted proxies, its scheme the one that they were asked with.

    `certificate_header` is the one in which they pass on a verified client certificate: whom it names is in the scope of a WebSocket
    (CLIENT_NAMES), and nobody behind this reads the header itself. None: there is no such header.
    """

    def __init__(self, app: ASGIApp, proxies: TrustedProxies, certificate_header: str | None = None) -> None:
        self._app = app
        self._proxies = proxies
        self._certificate = None if certificate_header is None else certificate_header.lower().encode()
        self._has_warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as the application inside does."""
        if scope["type"] in ("http", "websocket"):
            self._look_behind(scope)
        await self._app(scope, receive, send)

    def _look_behind(self, scope: Scope) -> None:
        host, port = scope.get("client") or ("", 0)
        peer = scope[_PEER] = _address(host)
        certificates = self._taken_certificates(scope)
        if peer is None:
            return
        forwarded = ",".join(value.decode("latin-1") for value in _headers(scope, _FOR))
        if not self._proxies.trusts(peer):
            scope["client"] = (str(peer), port)
            self._warn(peer, forwarded)
            return
        client = self._proxies.client(peer, forwarded)
        scope["client"] = (str(client), port if client == peer else 0)
        for value in _headers(scope, _PROTO):
            scope["scheme"] = _SCHEMES.get((scope["type"], value.strip().lower()), scope["scheme"])
        if scope["type"] == "websocket":
            scope[CLIENT_NAMES] = _names_in(certificates, peer)

    def _taken_certificates(self, scope: Scope) -> list[bytes]:
        """The headers with certificates, which are in the scope no more: whoever sent them."""
        if self._certificate is None:
            return []
        found = list(_headers(scope, self._certificate))
        if found:
            scope["headers"] = [one for one in scope["headers"] if one[0] != self._certificate]
        return found

    def _warn(self, peer: Address, forwarded: str) -> None:
        if forwarded and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "X-Forwarded-For is not believed of this address; if it is your reverse proxy, name it in LADE_TRUSTED_PROXIES: "
                "all of its clients count as one",
                peer=str(peer),
            )


def _names_in(certificates: list[bytes], peer: Address) -> frozenset[str]:
    """Nobody where there is more than one: the proxy has left one in place that came with the request."""
    if len(certificates) > 1:
        _log.error(
            "a proxy passes on certificates that it was sent: make it replace the header of LADE_CLIENT_CERT_HEADER",
            peer=str(peer),
        )
        return NOBODY
    try:
        return names_in(certificates[0].decode("latin-1")) if certificates else NOBODY
    except UnreadableCertificateError as error:
        _log.warning("a client certificate cannot be read", peer=str(peer), reason=str(error))
        return NOBODY


def _headers(scope: Scope, name: bytes) -> Iterator[bytes]:
    return (value for known, value in scope["headers"] if known == name)


def _address(text: str) -> Address | None:
    """The address in `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`; one of IPv4 that is written as IPv6 is of IPv4."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found
