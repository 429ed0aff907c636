"""One process that serves: a socket, a house, its services and uvicorn, begun in this order and ended in the reverse."""

import asyncio
import contextlib
import errno
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog
import uvicorn
from starlette.types import ASGIApp

from app.asgi import create_app
from app.composition import compose
from app.house import House, open_house
from app.proxies import TrustedProxies
from app.settings import OperatorError, ServerRole, Settings, local_url
from app.websockets import DirectWebSocket

GRACE_S = 10
"""How long requests under way may take after the end was asked for."""
_BACKLOG = 2048
_WEBSOCKET_MESSAGE_LIMIT = 1024 * 1024
_GARBAGE_THRESHOLDS = (2_000, 10, 1_000)
"""New objects until the young are looked through, such times until the middle-aged are, and such times until the old are."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers on `url`; `ended` is done when it has stopped, which nobody asked for."""

    house: House
    url: str
    ended: asyncio.Task[None]


class _Server(uvicorn.Server):
    """uvicorn without hands on the process: it tells when it listens, and leaves signals to us."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The original raises the signal again at its end, which would kill the process before the house is closed.
        yield


def listen(host: str, port: int) -> socket.socket:
    """A socket bound there; port 0 takes any free one. OperatorError says why it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except socket.gaierror as error:
        raise OperatorError(f"There is no address {host!r}: set LADE_HOST or --host to one of this machine.") from error
    except OSError as error:
        raise OperatorError(_why_not(error, host, port)) from error


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is in use. End the program that has it, or choose another port with --port or LADE_PORT "
            "(0 takes any free one)."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Port {port} may not be used by this user. Choose one above 1023 with --port or LADE_PORT."
    return f"{host}:{port} cannot be used: {error.strerror}. Set LADE_HOST or --host to an address of this machine."


@asynccontextmanager
async def serving(settings: Settings, roles: frozenset[ServerRole], listening: socket.socket) -> AsyncIterator[Running]:
    """Inside: the house is open, its services run, and requests are answered on the socket, which is closed afterwards."""
    with listening:
        settings = _at_its_address(settings, listening)
        async with open_house(settings, roles) as house:
            composition = compose(house)
            for name, service in composition.services:
                house.supervisor.run(name, service)
            app = create_app(
                composition.routes,
                TrustedProxies(settings.trusted_proxies),
                certificate_header=settings.client_cert_header,
            )
            server = _Server(http_config(app))
            async with _answering(server, listening) as ended:
                try:
                    yield Running(house, local_url(settings.host, settings.port), ended)
                finally:
                    for close in composition.closers:
                        await close()


async def serve_until_told(
    settings: Settings, roles: frozenset[ServerRole], listening: socket.socket, *, announce: Callable[[Running], None]
) -> None:
    """Serves until SIGTERM or SIGINT, then ends in an orderly way; `announce` is called once requests are answered."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, told.set)
    async with serving(settings, roles, listening) as running:
        keep_program()
        announce(running)
        waiting = asyncio.create_task(told.wait(), name="until-told")
        await asyncio.wait([waiting, running.ended], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        _log.info("ending", asked=told.is_set())


def keep_program() -> None:
    """What the program is made of by now is no longer looked through for garbage, and the rest seldom.

    Half a million objects of the program would hold everybody up for 80 ms each time; those of a thousand followers did for 200 ms,
    every five seconds. Most garbage is gone by itself or dies young; what grows old is looked through after some twenty million objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)


@asynccontextmanager
async def _answering(server: _Server, listening: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    try:
        listens = asyncio.create_task(server.listens.wait(), name="until-listening")
        await asyncio.wait([listens, task], return_when=asyncio.FIRST_COMPLETED)
        listens.cancel()
        yield task
    finally:
        server.should_exit = True
        await task


def _at_its_address(settings: Settings, listening: socket.socket) -> Settings:
    """The settings with the port that was really taken; the public URL follows, unless it was given."""
    port = int(listening.getsockname()[1])
    was_given = settings.public_url != local_url(settings.host, settings.port)
    public_url = settings.public_url if was_given else local_url(settings.host, port)
    return replace(settings, port=port, public_url=public_url)


def http_config(app: ASGIApp) -> uvicorn.Config:
    """How requests are answered: for the server, and for benches that measure it."""
    return uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # app.proxies does it: for networks of either kind, and not by uvicorn's own variable
        ws=DirectWebSocket,
        ws_per_message_deflate=False,
        ws_max_size=_WEBSOCKET_MESSAGE_LIMIT,
        timeout_graceful_shutdown=GRACE_S,
    )
