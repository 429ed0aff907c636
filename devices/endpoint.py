"""The door that chargers come through: `/ocpp/{identity}`, with a password, one sub-protocol and a clear word when it stays shut."""

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from devices import overtaking
from devices.availability import Availability
from devices.gathering import Gathering
from devices.greeting import greet
from devices.kinds import Kinds
from devices.link import Link, Surroundings
from devices.local_lists import LocalLists
from devices.ocpp.adapter import ADAPTERS, DEFAULT_SUBPROTOCOL, DIALECTS
from devices.registry import Registry
from devices.waiting_room import HeldLink, WaitingRoom
from domain import lifecycle, sql
from domain.equipment.stations import IDENTITY_LENGTH, SecurityProfile, hash_offered_key, is_identity
from domain.equipment.unknown_chargers import Knock
from domain.errors import UnavailableError
from domain.events import Event
from domain.lifecycle import Arrival, Connected, Login, StationCredentials
from domain.ports import EventBus

PATH: Final = "/ocpp"
"""Where chargers connect, each with its identity behind it."""

KEEP_ALIVE: Final = "lade.keep_alive"
"""The server's extension of a WebSocket's scope: `keep_alive(ping_every_s, on_pong)`. Where it is missing the server pings as it likes."""

WRITE_NOW: Final = "lade.write_now"
"""Another: `write_now(text)`, whether the text is on its way at once. Where it is missing every text takes the long way."""
ABORT: Final = "lade.abort"
"""And another: `abort()`, after which the connection is gone whatever was still to be sent."""

SEND_TIMEOUT_S: Final = 30.0
"""A charger that has read nothing for so long is not there."""

CLIENT_NAMES: Final = "lade.client_names"
"""Of the scope: the names (a set) in the client certificate that a trusted proxy has verified. Where it is missing there was none."""

RETRY_AFTER_S = 30

DATABASE_TIMEOUT_S = 10.0
"""A database that does not answer for this long is away."""

_AWAY = (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE, UnavailableError)

_log = structlog.get_logger(__name__)


class AsgiSocket:
    """A link's socket. Frames go past Starlette, whose WebSocket looks at every one of them once more."""

    __slots__ = ("_abort", "_keep_alive", "_receive", "_send", "_websocket", "_write_now")

    def __init__(self, websocket: WebSocket, receive: Receive, send: Send) -> None:
        extensions = websocket.scope.get("extensions") or {}
        self._keep_alive: Callable[[float | None, Callable[[], None]], None] | None = extensions.get(KEEP_ALIVE)
        self._write_now: Callable[[str], bool] | None = extensions.get(WRITE_NOW)
        self._abort: Callable[[], None] = extensions.get(ABORT, _nothing)
        self._websocket = websocket
        self._receive = receive
        self._send = send

    async def receive_frame(self) -> str | bytes | None:
        """The next frame; None when the charger is gone."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        text: str | bytes | None = message.get("text")
        return text if text is not None else message.get("bytes", b"")

    def send_now(self, text: str) -> bool:
        """Whether the frame is on its way already."""
        return self._write_now is not None and self._write_now(text)

    async def send_frame(self, text: str) -> None:
        """The frame is on its way. ConnectionError when the charger is gone."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._send({"type": "websocket.send", "text": text})
        except TimeoutError as error:
            self._abort()
            raise ConnectionError("the charger does not read") from error
        except (OSError, RuntimeError) as error:
            raise ConnectionError("the charger is gone") from error

    def keep_alive(self, ping_every_s: float | None, on_pong: Callable[[], None]) -> None:
        """The charger is pinged so often, and every pong is told."""
        if self._keep_alive is not None:
            self._keep_alive(ping_every_s, on_pong)

    async def close(self, code: int, reason: str) -> None:
        """The connection is being closed; once."""
        if self._websocket.application_state is WebSocketState.CONNECTED:
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._websocket.close(code, reason)
            except TimeoutError:
                self._abort()
            except (OSError, RuntimeError, WebSocketDisconnect):
                return


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the door stays shut: an HTTP status and what to do about it."""

    status: int
    message: str
    headers: dict[str, str]


NO_IDENTITY = Refusal(
    404,
    "This address has no charger's identity at its end. Set it to wss://, the name of the portal, /ocpp/ and the identity that the charger "
    f"has there: 1 to {IDENTITY_LENGTH} letters, digits and signs of * - _ = : + | @ .",
    {},
)
FOR_CHARGERS = (
    "Chargers connect here, over a WebSocket with a sub-protocol of OCPP. There is nothing to see for a browser.\n"
)
WHO_ARE_YOU = Refusal(
    401,
    "This charger is not known here, or its password is wrong. Add the charger in the portal, then set the identity (the last part "
    "of the address, also the user name) and the password that it shows.",
    {"WWW-Authenticate": 'Basic realm="lade"'},
)
WHICH_PROTOCOL = Refusal(
    400,
    f"No common OCPP version: set the charger to one of {', '.join(ADAPTERS)} (Sec-WebSocket-Protocol).",
    {},
)
COME_BACK = Refusal(
    503,
    "The portal cannot store anything right now. Keep your messages and try again.",
    {"Retry-After": str(RETRY_AFTER_S)},
)
NO_ROOM = Refusal(
    503,
    "Too many chargers wait here that nobody has added yet. Keep your messages and try again.",
    {"Retry-After": str(RETRY_AFTER_S)},
)

_PROFILES: Final = {
    SecurityProfile.NOTHING: "nothing",
    SecurityProfile.PASSWORD: "a password, without TLS",
    SecurityProfile.PASSWORD_OVER_TLS: "a password over TLS",
    SecurityProfile.CERTIFICATE_OVER_TLS: "a client certificate over TLS",
}


def less_secure(profile: SecurityProfile, least: SecurityProfile) -> Refusal:
    """The refusal of a charger that came more securely before, or that is to come more securely."""
    return Refusal(
        403,
        f"This charger has to prove who it is by {_PROFILES[least]} (security profile {least:d}), and came with {_PROFILES[profile]} "
        f"(security profile {profile:d}). Set it to security profile {least:d}, over TLS to a wss:// address, or let an installer lower "
        "minimumSecurityProfile of the charger in the portal first.",
        {},
    )


@dataclass(frozen=True, slots=True)
class Offer:
    """What a charger has to show for itself. `key` is its password, None where it offers none under its own name."""

    is_anonymous: bool
    """Whether it names nobody and offers nothing."""
    key: bytes | None
    is_encrypted: bool
    is_certified: bool
    """Whether it has a certificate of that name."""

    def login(self, stored: StationCredentials, secret: str) -> Login | None:
        """By what the charger is in, whatever it may not fall below; None where it has proven nothing."""
        if self.is_certified:
            return Login(stored.station_id, is_rotation=False, profile=SecurityProfile.CERTIFICATE_OVER_TLS)
        if self.key is not None:
            fits = stored.accepts(self.key, secret)
            tls = SecurityProfile.PASSWORD_OVER_TLS if self.is_encrypted else SecurityProfile.PASSWORD
            return None if fits is None else replace(fits, profile=tls)
        if self.is_anonymous and stored.least is SecurityProfile.NOTHING:
            return Login(stored.station_id, is_rotation=False, profile=SecurityProfile.NOTHING)
        return None


def offer_of(websocket: WebSocket, identity: str) -> Offer:
    """What the charger that calls itself so has to show."""
    header = websocket.headers.get("authorization")
    key = own_key(header, identity)
    is_encrypted = websocket.scope.get("scheme") == "wss"
    return Offer(
        is_anonymous=header is None,
        key=key,
        is_encrypted=is_encrypted,
        # A proxy that says that there was no TLS cannot have seen a certificate.
        is_certified=is_encrypted
        and (header is None or key is not None)
        and identity in websocket.scope.get(CLIENT_NAMES, frozenset()),
    )


@dataclass(frozen=True, slots=True)
class Stranger:
    """A charger that nobody has added. `may_wait`: it offers a password of its own, or none, and not another's name."""

    may_wait: bool
    key: bytes | None = None


class Endpoint:
    """Lets chargers in, runs their links, sees them out. Where thousands come at once, many share a transaction."""

    def __init__(
        self,
        registry: Registry,
        shared: Surroundings,
        bus: EventBus,
        process: str,
        secret: str,
        kinds: Kinds,
        lists: LocalLists | None = None,
        availability: Availability | None = None,
        room: WaitingRoom | None = None,
    ) -> None:
        """`lists` None: local authorization lists are left alone. `availability` None: chargers are not told if they are in service.
        `room` None: those that nobody has added are refused and forgotten.
        """
        self.registry = registry
        self.shared = shared
        self.bus = bus
        self.process = process
        self.secret = secret
        self.kinds = kinds
        self.lists = lists
        self.availability = availability
        self.room = room
        self._credentials = Gathering("credentials of chargers", self._all_credentials, key=str)
        self._arrivals = Gathering("chargers arrive", self._all_connected, key=_station_of)
        self._departures = Gathering("chargers leave", self._all_disconnected, key=_departing)
        self._telling: asyncio.Task[None] | None = None
        self._news = Gathering("news of chargers", self._all_published, key=id)

    def routes(self) -> list[BaseRoute]:
        """Where chargers connect."""
        return [
            WebSocketRoute(PATH, self),
            WebSocketRoute(f"{PATH}/{{identity:path}}", self, name="ocpp"),
            Route(f"{PATH}/{{identity:path}}", _for_chargers),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection from the upgrade to its end."""
        websocket = WebSocket(scope, receive, send)
        identity = self._identity(websocket)
        login = await self._login(websocket, identity)
        protocol = negotiated(websocket.scope.get("subprotocols", []))
        if isinstance(login, Stranger):
            await self._meet(websocket, AsgiSocket(websocket, receive, send), identity, login, protocol)
            return
        if isinstance(login, Refusal):
            await self._refuse(websocket, identity, login)
            return
        if protocol is None:
            await self._refuse(websocket, identity, WHICH_PROTOCOL)
            return
        try:
            made = await self._arrivals.ask(Arrival(login, protocol))
        except _AWAY:
            await self._refuse(websocket, identity, COME_BACK)
            return
        if made is None:
            await self._refuse(websocket, identity, WHO_ARE_YOU)
            return
        await self._serve(websocket, AsgiSocket(websocket, receive, send), identity, protocol, made)

    def _identity(self, websocket: WebSocket) -> str:
        """The end of the address, escapes undone. Firmware that puts a slash between an address that ends with one and its identity, or
        one behind it, is forgiven: no identity has any.
        """
        # Not as the route has it, whose pattern leaves out a line feed at the end.
        path: str = websocket.scope["path"]
        written = path.removeprefix(websocket.scope.get("root_path", "")).removeprefix(PATH).removeprefix("/")
        identity = written.strip("/")
        if identity != written:
            self.shared.counts["leniency slashes around an identity"] += 1
        return identity

    async def _login(self, websocket: WebSocket, identity: str) -> Login | Stranger | Refusal:
        if not is_identity(identity):
            return NO_IDENTITY
        offer = offer_of(websocket, identity)
        try:
            stored = await self._credentials.ask(identity)
        except _AWAY:
            return COME_BACK
        if stored is None:
            return Stranger(may_wait=offer.is_anonymous or offer.key is not None, key=offer.key)
        login = offer.login(stored, self.secret)
        if login is None:
            self.shared.counts["passwords wrong"] += 1
            self.shared.tallies.did_wrong(identity, "wrong password")
            return WHO_ARE_YOU
        if login.profile < stored.least:
            self.shared.counts["security profiles too low"] += 1
            self.shared.tallies.did_wrong(identity, "security profile too low")
            _log.warning(
                "a charger came less securely than it has to",
                identity=identity,
                address=_address(websocket),
                profile=int(login.profile),
                least=int(stored.least),
            )
            return less_secure(login.profile, stored.least)
        return login

    async def _meet(
        self, websocket: WebSocket, socket: AsgiSocket, identity: str, stranger: Stranger, protocol: str | None
    ) -> None:
        """The charger is remembered, and held where there is room and the operator wants it; else it is refused as by a wrong password."""
        room, counts, address = self.room, self.shared.counts, _address(websocket)
        waits = room is not None and room.is_open and stranger.may_wait
        if room is not None:
            room.knocks.note(self._knock(identity, address, protocol, stranger.key if waits else None))
        if room is None or not waits:
            counts["unknown chargers refused"] += 1
            await self._refuse(websocket, identity, WHO_ARE_YOU)
            return
        if protocol is None:
            await self._refuse(websocket, identity, WHICH_PROTOCOL)
            return
        link = HeldLink(
            socket,
            ADAPTERS[protocol],
            room.knocks,
            self.shared.clock,
            counts,
            identity=identity,
            address=address,
        )
        if not room.admit(link):
            await self._refuse(websocket, identity, NO_ROOM)
            return
        counts["unknown chargers held"] += 1
        await self._hold(websocket, link, room, protocol)

    def _knock(self, identity: str, address: str, protocol: str | None, key: bytes | None) -> Knock:
        return Knock(
            identity=identity,
            at=self.shared.clock.now(),
            attempts=1,
            address=address,
            protocol=protocol,
            password_hash=None if key is None else hash_offered_key(key, self.secret),
        )

    async def _hold(self, websocket: WebSocket, link: HeldLink, room: WaitingRoom, protocol: str) -> None:
        try:
            await websocket.accept(subprotocol=_told(websocket, protocol))
            _log.info("a charger that nobody added waits", identity=link.identity, address=link.address)
            await link.run()
        except (WebSocketDisconnect, RuntimeError) as error:
            _log.info("a charger's connection broke", identity=link.identity, reason=type(error).__name__)
        finally:
            room.leave(link)

    async def _all_credentials(self, identities: Sequence[str]) -> list[StationCredentials | None]:
        async with asyncio.timeout(DATABASE_TIMEOUT_S):
            found = await lifecycle.credentials_of(identities)
        return [found.get(one) for one in identities]

    async def _all_connected(self, arrivals: Sequence[Arrival]) -> list[Connected | None]:
        async with asyncio.timeout(DATABASE_TIMEOUT_S):
            found = await lifecycle.connected(arrivals, process=self.process, now=self.shared.clock.now())
        if any(made.left is not None for made in found.values()):
            # Whoever just came does not wait for the bus.
            self._telling = asyncio.create_task(self._tell_of(list(found.values())), name="chargers left others")
        return [found.get(one.login.station_id) for one in arrivals]

    async def _tell_of(self, arrived: Sequence[Connected]) -> None:
        await asyncio.gather(
            *(
                overtaking.tell(self.bus, made.left, made.station_id, epoch=made.epoch)
                for made in arrived
                if made.left is not None
            )
        )

    async def _all_disconnected(self, links: Sequence[Link]) -> list[None]:
        epochs = {one.station_id: one.epoch for one in links}
        async with asyncio.timeout(DATABASE_TIMEOUT_S):
            events = await lifecycle.disconnected(epochs, now=self.shared.clock.now())
        await self._all_published([events])
        return [None] * len(links)

    async def _all_published(self, news: Sequence[Sequence[Event]]) -> list[None]:
        # Fifty chargers of one garage make fifty times the same news of it.
        await self.bus.publish(*dict.fromkeys(event for events in news for event in events))
        return [None] * len(news)

    async def _refuse(self, websocket: WebSocket, identity: str, refusal: Refusal) -> None:
        self.shared.counts[f"upgrades refused {refusal.status}"] += 1
        _log.info(
            "a charger was not let in",
            identity=identity[:IDENTITY_LENGTH],
            address=_address(websocket),
            status=refusal.status,
        )
        response = PlainTextResponse(f"{refusal.message}\n", refusal.status, refusal.headers)
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await websocket.send_denial_response(response)

    async def _serve(
        self, websocket: WebSocket, socket: AsgiSocket, identity: str, protocol: str, made: Connected
    ) -> None:
        link = Link(
            socket,
            self.shared,
            identity=identity,
            station_id=made.station_id,
            epoch=made.epoch,
            chargers=made.chargers,
            adapter=ADAPTERS[protocol],
            kind=made.kind,
            capabilities=self.kinds.of(made.kind),
            profiles_are_ours=made.profiles_are_ours,
            configured_as=made.configured_as,
            clock_offset=made.clock_offset,
        )
        try:
            await websocket.accept(subprotocol=_told(websocket, protocol))
            self.registry.add(link)
            if made.events:
                link.spawn(self._announce(made.events))
            link.spawn(greet(link, self.shared.settings, self.kinds))
            if self.lists is not None:
                link.spawn(self.lists.keep(link))
            if self.availability is not None:
                link.spawn(self.availability.keep(link))
            await link.run()
        except (WebSocketDisconnect, OSError, RuntimeError) as error:
            _log.info("a charger's connection broke", identity=identity, reason=type(error).__name__)
        finally:
            self.registry.remove(link)
            await self._disconnected(link)

    async def _announce(self, events: Sequence[Event]) -> None:
        with contextlib.suppress(UnavailableError):
            await self._news.ask(events)

    async def _disconnected(self, link: Link) -> None:
        try:
            await self._departures.ask(link)
        except _AWAY:
            # The liveness task finds the station without a link as soon as the database is back.
            _log.warning("a disconnect could not be stored yet", identity=link.identity)


async def _for_chargers(_request: Request) -> PlainTextResponse:
    return PlainTextResponse(FOR_CHARGERS, 426, {"Upgrade": "websocket", "Connection": "Upgrade"})


def _nothing() -> None:
    pass


def _station_of(arrival: Arrival) -> UUID:
    return arrival.login.station_id


def _departing(link: Link) -> UUID:
    return link.station_id


def _told(websocket: WebSocket, protocol: str) -> str | None:
    """What to say is agreed on: a charger that named no protocol gets none back, or it would have to close (RFC 6455 §4.1)."""
    return protocol if websocket.scope.get("subprotocols") else None


def _address(websocket: WebSocket) -> str:
    return websocket.client.host if websocket.client else ""


def negotiated(offered: Sequence[str]) -> str | None:
    """The sub-protocol to speak: the first offered one that we know best, the default where none is offered, else None."""
    if not offered:
        return DEFAULT_SUBPROTOCOL
    first = next((one for one in offered if one in ADAPTERS), None)
    plainer = DIALECTS.get(first or "")
    return plainer if plainer in offered else first


def own_key(header: str | None, identity: str) -> bytes | None:
    """The password of an HTTP Basic header (RFC 7617) whose user name is that identity, else None.

    Passwords may be any bytes (OCPP 1.6 security white paper §2.3). An identity may have the colon in it that ends a user name elsewhere.
    """
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    name = identity.encode() + b":"
    return decoded.removeprefix(name) if decoded.startswith(name) else None
