"""The portal as an app sees it: operations and subscriptions over one socket (graphql-transport-ws)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PROTOCOL: Final = Subprotocol("graphql-transport-ws")
ANSWER_WITHIN_S = 30.0
_MESSAGE_LIMIT = 16 * 1024 * 1024

Json = dict[str, Any]


class PortalError(Exception):
    """The portal answered with an error, or not at all."""


@dataclass(frozen=True, slots=True)
class Person:
    """How somebody signs in to the demo."""

    role: str
    email: str
    password: str


class Portal:
    """One signed-in socket. Use `portal_of` to open it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._operations: dict[str, asyncio.Queue[Json | None]] = {}

    async def ask(self, document: str, **variables: object) -> Json:
        """The data of a query or mutation; PortalError with the portal's words for errors."""
        async with asyncio.timeout(ANSWER_WITHIN_S):
            async for data in self.follow(document, **variables):
                return data
        raise PortalError("The portal ended the operation without an answer.")

    async def follow(self, document: str, **variables: object) -> AsyncIterator[Json]:
        """The data of each event of a subscription, until it completes."""
        number = str(next(self._numbers))
        events: asyncio.Queue[Json | None] = asyncio.Queue()
        self._operations[number] = events
        payload = {"query": document, "variables": variables}
        await self._say({"id": number, "type": "subscribe", "payload": payload})
        try:
            while (event := await events.get()) is not None:
                if event.get("errors"):
                    raise PortalError("; ".join(error["message"] for error in event["errors"]))
                yield event["data"]
        finally:
            del self._operations[number]

    async def listen(self) -> None:
        """Hands every message to its operation until the socket closes; then all operations end."""
        try:
            async for text in self._socket:
                self._hear(orjson.loads(text))
        except ConnectionClosed:
            pass
        finally:
            for events in self._operations.values():
                events.put_nowait(None)

    def _hear(self, message: Json) -> None:
        events = self._operations.get(message.get("id", ""))
        if events is None:
            return
        match message["type"]:
            case "next":
                events.put_nowait(message["payload"])
            case "error":
                events.put_nowait({"errors": message["payload"]})
            case "complete":
                events.put_nowait(None)

    async def _say(self, message: Json) -> None:
        await self._socket.send(orjson.dumps(message).decode())


@asynccontextmanager
async def portal_of(url: str, token: str | None = None) -> AsyncIterator[Portal]:
    """Inside: a socket at `url` (`ws://host:port/graphql`) with that access token, or without."""
    async with connect(url, subprotocols=[PROTOCOL], max_size=_MESSAGE_LIMIT, compression=None, proxy=None) as socket:
        payload = {"Authorization": f"Bearer {token}"} if token else {}
        await socket.send(orjson.dumps({"type": "connection_init", "payload": payload}).decode())
        async with asyncio.timeout(ANSWER_WITHIN_S):
            answer = orjson.loads(await socket.recv())
        if answer.get("type") != "connection_ack":
            raise PortalError(f"The portal did not take the connection: {answer}.")
        portal = Portal(socket)
        listener = asyncio.create_task(portal.listen(), name="portal-listener")
        try:
            yield portal
        finally:
            listener.cancel()
            await asyncio.wait([listener])


SIGN_IN = """
mutation SignIn($email: String!, $password: String!) {
  signIn(input: {email: $email, password: $password}) {
    ... on SignInSuccess { accessToken }
    ... on UserError { message }
  }
}
"""


async def sign_in(url: str, person: Person) -> str:
    """An access token of that person."""
    async with portal_of(url) as portal:
        answer = (await portal.ask(SIGN_IN, email=person.email, password=person.password))["signIn"]
    if "accessToken" not in answer:
        raise PortalError(answer["message"])
    return str(answer["accessToken"])
