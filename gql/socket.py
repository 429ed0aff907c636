"""GraphQL over WebSocket: the graphql-transport-ws protocol, one connection at a time.

Our own, because identical subscriptions share their execution and their text (gql.audiences): what differs between two
clients is the id of their operation, which is written in front of the shared text.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import orjson
import structlog
from graphql import OperationType
from starlette.types import Receive, Scope, Send

from domain import events, sql
from domain.errors import DomainError, NotFoundError, UnavailableError
from domain.membership.access_times import next_change_of
from gql.audience import Audience
from gql.audiences import Audiences
from gql.engine import Caller, Engine, Ready, RefusedError, told
from gql.errors import AccessEndedError, Code, EdgeError, body_of, mask
from gql.http import request_of
from gql.limits import MAX_BODY_BYTES
from gql.origins import Origins
from gql.outbox import Outbox, OverflowedError
from gql.protocol import (
    PROTOCOL,
    CloseCode,
    ClosedError,
    decoded,
    identity_of,
    payload_of,
    request_payload_of,
    token_of,
)

WRITE_NOW: Final = "lade.write_now"
"""Extension of an ASGI scope: `(text) → bool` sends a text at once, or says that only `send` can, which may have to wait."""
GO_ON: Final = "lade.go_on"
"""Extension of an ASGI scope: takes what the connection goes on with once the application has returned, which then costs no memory."""
INIT_TIMEOUT_S: Final = 10.0
MAX_OPERATIONS: Final = 50
_AWAY: Final = "Something that is needed is away. Connect again in a moment."
LOOKS_AT_ONCE: Final = 8
"""Connections whose rights are looked at together after a gap: thousands have it at one moment, and others need the database, too."""
_LONGEST_TRUST_S: Final = 60.0
"""Rights are read again after this time at the latest: the bus may have been away when they changed."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SocketCounts:
    """Connections and operations of this process."""

    connections: int
    operations: int


class SocketEndpoint:
    """Takes WebSocket connections at the GraphQL address."""

    def __init__(
        self, engine: Engine, origins: Origins, audiences: Audiences, *, init_timeout_s: float = INIT_TIMEOUT_S
    ) -> None:
        self._init_timeout_s = init_timeout_s
        self._engine = engine
        self._origins = origins
        self._audiences = audiences
        self._connections: set[Connection] = set()
        self.looks = asyncio.Semaphore(LOOKS_AT_ONCE)
        """Whoever looks at rights after a gap has one."""
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def is_quiet(self) -> None:
        """Returns when nobody is connected."""
        await self._quiet.wait()

    @property
    def counts(self) -> SocketCounts:
        """Of this moment."""
        return SocketCounts(len(self._connections), sum(len(one.operations) for one in self._connections))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Returns when the connection has ended, or goes on by itself where the server lets it (GO_ON)."""
        await receive()
        if not await self._is_let_in(scope, send):
            return
        client, extensions = scope.get("client"), scope.get("extensions") or {}
        connection = Connection(
            self._engine,
            self._audiences,
            receive,
            send,
            address=client[0] if client else "",
            write_now=extensions.get(WRITE_NOW),
            looks=self.looks,
        )
        connection.init_timeout_s = self._init_timeout_s
        self._connections.add(connection)
        self._quiet.clear()
        go_on = extensions.get(GO_ON)
        if go_on is None:
            await self._see_off(connection)
        else:
            connection.receive, connection.send = go_on(functools.partial(self._see_off, connection))
            # Nobody looks at them any more, and they may be many.
            scope["headers"] = []

    async def _is_let_in(self, scope: Scope, send: Send) -> bool:
        """Whether the client is accepted; else it was told why not."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if not self._origins.allows(headers.get("origin")):
            await send({"type": "websocket.close", "code": CloseCode.FORBIDDEN, "reason": ""})
            return False
        if PROTOCOL not in scope["subprotocols"]:
            await send({"type": "websocket.accept"})
            reason = f"Only the sub-protocol {PROTOCOL} is spoken here."
            code = CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE
            await send({"type": "websocket.close", "code": code, "reason": reason})
            return False
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
        return True

    async def _see_off(self, connection: "Connection") -> None:
        """The connection has ended."""
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            if not self._connections:
                self._quiet.set()


class Operation:
    """One operation of a client, followed until it ends."""

    __slots__ = ("_connection", "_prefix", "audience", "identity", "is_over", "leave_seat", "ready", "task")

    def __init__(self, connection: "Connection", identity: str) -> None:
        self._connection = connection
        self.identity = identity
        self._prefix = '{"id":' + orjson.dumps(identity).decode() + ',"type":"next","payload":'
        self.audience: Audience | None = None
        self.ready: Ready | None = None
        self.task: asyncio.Task[None] | None = None
        self.leave_seat: Callable[[], None] | None = None
        self.is_over = False
        """Whether its client hears no more of it; its id may be another's by now."""

    def offer(self, key: object, payload: str, cursor: str | None = None, *, stays: bool = False) -> None:
        """The payload is on its way, unless it is over; see Follower."""
        if self.is_over:
            return
        self._connection.put(self._prefix, payload, owner=self, key=key, cursor=cursor, stays=stays)

    def forget(self) -> None:
        """What may be replaced no longer waits."""
        self._connection.forget(self, only_replaceable=True)

    def end(self, errors: Sequence[dict[str, Any]] = ()) -> None:
        """The client hears what went wrong, if anything, and that nothing more comes."""
        if self.is_over:
            return
        if errors:
            self.offer(None, orjson.dumps({"data": None, "errors": list(errors)}).decode() + "}")
        self._connection.tell({"id": self.identity, "type": "complete"})
        self.drop()

    def break_off(self) -> None:
        """The connection ends so that its client comes back: an error of the operation's own would be final for it."""
        self._connection.give_up()

    def refuse(self, errors: Sequence[dict[str, Any]]) -> None:
        """The client hears why the operation did not begin."""
        if not self.is_over:
            self._connection.tell({"id": self.identity, "type": "error", "payload": list(errors)})
            self.drop()

    def drop(self) -> None:
        """The operation is no more; its id is free."""
        if self.is_over:
            return
        self.is_over = True
        del self._connection.operations[self.identity]
        if self.audience is not None:
            self.audience.leave(self)
            self.audience = None
        if self.leave_seat is not None:
            self.leave_seat()
            self.leave_seat = None


class Connection:
    """One client's socket, from its accept to its end."""

    def __init__(
        self,
        engine: Engine,
        audiences: Audiences,
        receive: Receive,
        send: Send,
        *,
        address: str,
        write_now: Callable[[str], bool] | None = None,
        most_characters: int | None = MAX_BODY_BYTES,
        traceparent: str | None = None,
        looks: asyncio.Semaphore | None = None,
    ) -> None:
        self.operations: dict[str, Operation] = {}
        self.init_timeout_s = INIT_TIMEOUT_S
        self._engine = engine
        self._audiences = audiences
        self.receive = receive
        self.send = send
        self._address = address
        self._write_now = write_now
        self._most_characters = most_characters
        self._traceparent = traceparent
        self._outbox = Outbox()
        self._writer: asyncio.Task[None] | None = None
        self._caller: Caller | None = None
        self._token: str | None = None
        self._is_greeted = False
        self._is_acknowledged = False
        # A stream begins, or moves to other rights, but not both at once: otherwise a change in between would be missed.
        self._rights = asyncio.Lock()
        self._looks = looks or asyncio.Semaphore(LOOKS_AT_ONCE)
        # Rights may have ended without a word: nothing is told until they were looked at.
        self._is_in_doubt = False
        self._gaps = 0
        self._validity: asyncio.Task[None] | None = None
        self._ending: ClosedError | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._main: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Returns when the client is gone, or was told why it had to go."""
        self._main = asyncio.current_task()
        self._patience = asyncio.get_running_loop().call_later(
            self.init_timeout_s, self._end, CloseCode.INIT_TIMEOUT, "Connection initialisation timeout"
        )
        try:
            await self._supervised(self._read)
        except asyncio.CancelledError:
            if self._ending is None or self._main is None or self._main.uncancel():
                raise
        finally:
            self._patience.cancel()
            self._main = None
            await self._stop()
        if self._ending is not None:
            await _quietly(self.send(self._ending.message))

    def put(
        self,
        prefix: str,
        payload: str = "",
        *,
        owner: object = None,
        key: object = None,
        cursor: str | None = None,
        stays: bool = False,
    ) -> None:
        """The message is on its way: at once when nothing waits before it, or in its turn."""
        if (
            self._write_now is not None
            and not self._is_in_doubt
            and self._writer is None
            and self._ending is None
            and self._write_now(prefix + payload)
        ):
            return
        try:
            if self._outbox.put(prefix, payload, owner=owner, key=key, cursor=cursor, stays=stays):
                self._audiences.counts.coalesced += 1
        except OverflowedError:
            self._end(CloseCode.TRY_AGAIN_LATER, "This client reads too slowly: follow less, or read faster.")
        self._write_soon()

    def _write_soon(self) -> None:
        may_write = self._ending is None and self._main is not None and not self._is_in_doubt
        if self._writer is None and may_write and len(self._outbox):
            self._writer = self._start(self._write, "socket writer")

    def forget(self, operation: Operation, *, only_replaceable: bool = False) -> int:
        """That operation's messages (only those that may be replaced) no longer wait; how many did."""
        return self._outbox.forget(operation, only_replaceable=only_replaceable)

    def tell(self, message: dict[str, Any]) -> None:
        """A message of the protocol is on its way."""
        self.put(orjson.dumps(message).decode())

    def give_up(self) -> None:
        """The client is to come back in a while."""
        self._end(CloseCode.TRY_AGAIN_LATER, _AWAY)

    def _end(self, code: CloseCode, reason: str) -> None:
        if self._ending is None:
            self._ending = ClosedError(code, reason)
            # Whoever reads learns of it; they are told in `_read` when it was themselves who ended it.
            if self._main is not None and self._main is not asyncio.current_task():
                self._main.cancel()

    async def _stop(self) -> None:
        for operation in list(self.operations.values()):
            operation.drop()
        if self._is_in_doubt:
            self._outbox.forget_owned()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._ending is not None:
            await _quietly(self._drain())

    async def _drain(self) -> None:
        """What was told before the end still goes out, unless the client does not read."""
        async with asyncio.timeout(1.0):
            while (text := self._outbox.take()) is not None:
                await self.send({"type": "websocket.send", "text": text})

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._supervised(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _supervised(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            # Not made before: the task may be cancelled before it begins.
            await work()
        except ClosedError as closed:
            self._end(closed.code, closed.reason)
        except sql.DATABASE_AWAY as away:
            # An INTERNAL would be final: clients (graphql-ws) do not come back after it.
            if not isinstance(away, OSError):
                _log.warning("a connection is ended because the database is away", reason=type(away).__name__)
            self.give_up()
        # A defect in one connection ends that connection only; `mask` logs it.
        except Exception as defect:
            self._end(CloseCode.INTERNAL, mask(defect).message)

    async def _write(self) -> None:
        """What waits is sent; the next that has to wait is another writer's."""
        try:
            while not self._is_in_doubt and (text := self._outbox.take()) is not None:
                await self.send({"type": "websocket.send", "text": text})
        finally:
            self._writer = None

    async def _read(self) -> None:
        while self._ending is None:
            message = await self.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._handle(decoded(message, self._most_characters))

    def _handle(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "connection_init":
                self._init(payload_of(message) or {})
            case "ping":
                payload = payload_of(message)
                self.tell({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})
            case "pong":
                payload_of(message)
            case "subscribe":
                self._subscribe(message)
            case "complete":
                operation = self.operations.get(identity_of(message))
                if operation is not None:
                    self._cancel(operation)
            case other:
                raise ClosedError(CloseCode.BAD_REQUEST, f"There is no message of type {str(other)[:40]!r}.")

    def _init(self, payload: dict[str, Any]) -> None:
        if self._is_greeted:
            raise ClosedError(CloseCode.TOO_MANY_INITS, "Too many initialisation requests")
        self._is_greeted = True
        if self._patience is not None:
            self._patience.cancel()
        try:
            self._token = token_of(payload)
        except EdgeError as error:
            raise ClosedError(CloseCode.FORBIDDEN, error.message) from error
        self._start(self._arrive, "socket entry")

    async def _arrive(self) -> None:
        try:
            claims = await self._engine.claims(self._token)
        except EdgeError as error:
            raise ClosedError(CloseCode.FORBIDDEN, error.message) from error
        if claims is None:
            await self._enter(None)
        else:
            await self._watch_rights(claims.channel)

    async def _enter(self, token: str | None) -> None:
        try:
            self._caller = await self._engine.caller(token, address=self._address)
        except EdgeError as error:
            raise ClosedError(CloseCode.FORBIDDEN, error.message) from error
        self._is_acknowledged = True
        self.tell({"type": "connection_ack"})

    async def _watch_rights(self, channel: str) -> None:
        """From before the rights are read until the end, so that no change of them is missed."""
        try:
            async with self._engine.ports.log.follow(channel) as everything:
                await self._enter(self._token)
                self._watch_validity()
                async for heard in everything:
                    await self._hear(heard.message)
        except UnavailableError as error:
            raise ClosedError(CloseCode.TRY_AGAIN_LATER, error.message) from error

    async def _hear(self, message: bytes | None) -> None:
        if message is None:
            self._is_in_doubt, self._gaps = True, self._gaps + 1
            if self._gaps == 1:
                self._start(self._look_after_gaps, "socket doubt")
            return
        try:
            event = events.decode(message)
        except msgspec.DecodeError:
            return
        match event:
            case events.SignInEnded() if self._claims_of(event.sign_in_id):
                self._end_all(AccessEndedError())
                raise ClosedError(CloseCode.FORBIDDEN, "This sign-in has ended. Sign in again.")
            case events.PermissionChanged() | events.ProgramChanged():
                await self._look_at_rights()

    async def _look_after_gaps(self) -> None:
        """What was missed may have taken rights away: what is told meanwhile waits, and what they do not cover any more is never told."""
        looked = 0
        while looked < self._gaps:
            async with self._looks:
                looked = self._gaps
                await self._look_at_rights()
        self._is_in_doubt, self._gaps = False, 0
        self._write_soon()

    async def _look_at_rights(self) -> None:
        await self._renew()
        self._watch_validity()

    def _claims_of(self, sign_in_id: object) -> bool:
        return (
            self._caller is not None
            and self._caller.claims is not None
            and self._caller.claims.sign_in_id == sign_in_id
        )

    def _has_expired(self) -> bool:
        expires_at = self._caller.claims.expires_at if self._caller and self._caller.claims else None
        return expires_at is not None and expires_at <= self._engine.ports.clock.now()

    def _watch_validity(self) -> None:
        if self._validity is not None:
            self._validity.cancel()
        self._validity = self._start(self._keep_rights, "socket validity")

    async def _keep_rights(self) -> None:
        """Rights begin and end by the clock, too, and so does the token."""
        clock = self._engine.ports.clock
        while self._caller is not None and self._caller.claims is not None:
            now, expires_at = clock.now(), self._caller.claims.expires_at
            changes_at = await next_change_of(self._caller.access, now=now)
            waits_s = [(at - now).total_seconds() for at in (changes_at, expires_at) if at is not None]
            await clock.sleep(max(0.0, min([_LONGEST_TRUST_S, *waits_s])))
            if expires_at is not None and expires_at <= clock.now():
                raise ClosedError(CloseCode.FORBIDDEN, "The access token has expired. Connect again with a new one.")
            await self._renew()

    async def _renew(self) -> None:
        """Every stream has its present rights: it goes on, goes on with other eyes, or ends."""
        async with self._rights:
            try:
                self._caller = await self._engine.caller(self._token, address=self._address)
            except EdgeError as error:
                # One whose token has expired comes back with another; only whose sign-in has ended is told that it is over.
                if not self._has_expired():
                    self._end_all(AccessEndedError())
                raise ClosedError(CloseCode.FORBIDDEN, error.message) from error
            for operation in list(self.operations.values()):
                if operation.audience is not None and operation.ready is not None:
                    await self._move(operation, operation.audience, operation.ready, self._caller)

    async def _move(self, operation: Operation, old: Audience, ready: Ready, caller: Caller) -> None:
        try:
            new, _ = await self._audiences.of(ready, caller, cost=0)
            if new is not old and self._is_in_doubt and self.forget(operation):
                # It was for other eyes, and may be news to these: the client reads it again from its cursor.
                new.leave(operation)
                operation.break_off()
            elif new is not old:
                await self._change(operation, old, new, caller)
        except (NotFoundError, AccessEndedError):
            if self._is_in_doubt:
                self.forget(operation)
            operation.end([body_of(AccessEndedError())])
        except (RefusedError, EdgeError, DomainError) as error:
            operation.end(told(error))

    async def _change(self, operation: Operation, old: Audience, new: Audience, caller: Caller) -> None:
        try:
            with new.held():
                await old.tell(operation, old.source.leaving(new.source))
                if not operation.is_over:
                    old.leave(operation)
                    operation.audience = new
                    await new.join(operation, viewer=caller.access.user_id, is_move=True)
        finally:
            # It may have ended meanwhile, and then nobody else would take it out of an audience that it does not have.
            if operation.audience is not new:
                new.leave(operation)

    def _end_all(self, error: EdgeError) -> None:
        if self._is_in_doubt:
            self._outbox.forget_owned()
            self._is_in_doubt = False
        for operation in list(self.operations.values()):
            operation.end([body_of(error)])

    def _subscribe(self, message: dict[str, Any]) -> None:
        identity, payload = identity_of(message), request_payload_of(message)
        if not self._is_acknowledged:
            raise ClosedError(CloseCode.UNAUTHORIZED, "Unauthorized")
        if identity in self.operations:
            raise ClosedError(CloseCode.SUBSCRIBER_EXISTS, f"Subscriber for {identity} already exists")
        operation = self.operations[identity] = Operation(self, identity)
        if len(self.operations) > MAX_OPERATIONS:
            text = f"At most {MAX_OPERATIONS} operations at once on one connection: complete others first."
            operation.refuse([body_of(EdgeError(text, code=Code.RATE_LIMITED))])
            return
        operation.task = self._start(functools.partial(self._operate, operation, payload), "socket operation")

    async def _operate(self, operation: Operation, payload: dict[str, Any]) -> None:
        try:
            ready = await self._engine.read(request_of(payload), self._caller)
            if ready.operation.kind is OperationType.SUBSCRIPTION:
                await self._begin_to_follow(operation, ready)
            else:
                caller = await self._engine.caller(self._token, address=self._address)
                body = await self._engine.run(ready, caller, traceparent=self._traceparent)
                operation.offer(None, body.decode() + "}")
                operation.end()
        except (RefusedError, EdgeError, DomainError) as error:
            operation.refuse(told(error))
        except ClosedError:
            raise
        # One operation's defect must not end the others of this connection; `told` masks and logs it.
        except Exception as error:
            operation.refuse(told(error))

    async def _begin_to_follow(self, operation: Operation, ready: Ready) -> None:
        try:
            async with self._rights:
                await self._follow(operation, ready)
        except sql.DATABASE_AWAY as away:
            raise ClosedError(CloseCode.TRY_AGAIN_LATER, _AWAY) from away

    async def _follow(self, operation: Operation, ready: Ready) -> None:
        # The same text for all who follow with it.
        operation.ready = replace(ready, request=replace(ready.request, query=ready.document.text))
        caller = await self._engine.caller(self._token, address=self._address)
        operation.leave_seat = self._audiences.seats.take(caller.key)
        operation.audience, after = await self._audiences.of(ready, caller)
        await operation.audience.join(operation, viewer=caller.access.user_id, after=after)

    def _cancel(self, operation: Operation) -> None:
        operation.drop()
        self.forget(operation)
        if operation.task is not None:
            operation.task.cancel()


async def _quietly(work: Awaitable[None]) -> None:
    """The client may be gone by now, which is no trouble."""
    try:
        await work
    except (OSError, TimeoutError, RuntimeError):
        return
