"""Those who follow the same thing with the same eyes: each event is executed and written out once for all of them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
import orjson
import structlog
from graphql import Executor, FieldNode, GraphQLObjectType, GraphQLResolveInfo
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path

from domain import events
from domain.errors import DomainError
from domain.events import Event
from domain.ports import EventBus
from gql.context import Context
from gql.engine import Caller, Engine, Ready, encoded, execute, told
from gql.errors import Code, EdgeError
from gql.live import Live, Source
from gql.loaders import Loaders

HEARTBEAT_S: Final = 25.0
_AFTER: Final = "after"

_log = structlog.get_logger(__name__)


class Follower(Protocol):
    """One client's operation."""

    def offer(self, key: object, payload: str) -> None:
        """The payload is on its way; one with the same key that still waits is replaced by it (no key: never)."""
        ...

    def end(self, errors: Sequence[dict[str, Any]] = ()) -> None:
        """Nothing more will come."""
        ...


class Audience:
    """Followers of one source. All that is told to them goes through one lock, so that everyone hears it in the same order."""

    def __init__(
        self,
        source: Source,
        executor: Executor[Any],
        *,
        bus: EventBus,
        heartbeat_s: float,
        when_empty: Callable[[], None],
    ) -> None:
        self.source = source
        self.executions = 0
        self._executor = executor
        self._bus = bus
        self._heartbeat_s = heartbeat_s
        self._when_empty = when_empty
        self._followers: dict[Follower, None] = {}
        self._written: dict[object, tuple[object, str]] = {}
        self._lock = asyncio.Lock()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._joining = 0
        self._task = asyncio.create_task(self._run(), name="audience")

    async def join(self, follower: Follower, *, is_resync: bool, is_move: bool = False) -> None:
        """The follower has the present state and hears of every change after it. Raises what kept the source from opening."""
        self._joining += 1
        try:
            await asyncio.shield(self._opened)
            async with self._lock:
                for live in self.source.present(is_resync=is_resync, is_move=is_move):
                    follower.offer(live.key, await self._written_out(live))
                if self._task.done() or self.source.is_over:
                    follower.end()
                else:
                    self._followers[follower] = None
        finally:
            self._joining -= 1
            self._close_when_empty()

    def leave(self, follower: Follower) -> None:
        """The follower hears no more; without followers the audience ends."""
        self._followers.pop(follower, None)
        self._close_when_empty()

    async def tell(self, follower: Follower, lives: Sequence[Live]) -> None:
        """These events, to that follower only."""
        async with self._lock:
            for live in lives:
                follower.offer(live.key, await self._written_out(live))

    def _close_when_empty(self) -> None:
        if not self._followers and not self._joining:
            self._when_empty()
            self._task.cancel()

    async def _run(self) -> None:
        try:
            async with self._bus.subscribe(self.source.channel) as messages:
                await self.source.open()
                if not self._opened.done():
                    self._opened.set_result(None)
                await self._follow(messages.__aiter__().__anext__)
        except (EdgeError, DomainError) as error:
            self._fail(error)
        # Whatever else is wrong must reach the followers, who would wait for ever; `told` masks and logs it.
        except Exception as error:
            self._fail(error)

    async def _follow(self, next_message: Callable[[], Any]) -> None:
        clock = asyncio.get_running_loop().time
        beat_at = clock() + self._heartbeat_s
        while not self.source.is_over:
            wakes_in_s = self.source.wakes_in_s
            try:
                async with asyncio.timeout_at(beat_at if wakes_in_s is None else min(beat_at, clock() + wakes_in_s)):
                    message: bytes = await next_message()
            except TimeoutError:
                await self._spread(self.source.refresh())
                beat_at = clock() + self._heartbeat_s
                continue
            except StopAsyncIteration:
                raise EdgeError("The server is closing. Connect again.", code=Code.INTERNAL) from None
            event = _event(message)
            if event is not None:
                await self._spread(self.source.take(event))
        for follower in list(self._followers):
            follower.end()

    async def _spread(self, coming: Any) -> None:
        async with self._lock:
            for live in await coming:
                text = await self._written_out(live)
                for follower in self._followers:
                    follower.offer(live.key, text)

    async def _written_out(self, live: Live) -> str:
        """The payload with the closing brace of its message: what follows the client's own id."""
        if live.same_as is not None:
            what, version = live.same_as
            known = self._written.get(what)
            if known is not None and known[0] == version:
                return known[1]
        executor = self._executor.build_per_event_executor(live.value)
        context: Context = executor.context_value
        context.loaders = Loaders(context.access, live.known)
        self.executions += 1
        text = encoded(await execute(executor)).decode() + "}"
        if live.same_as is not None:
            self._written[live.same_as[0]] = (live.same_as[1], text)
        return text

    def _fail(self, error: Exception) -> None:
        if not self._opened.done():
            self._opened.set_exception(error)
            # Nobody may be waiting any more; then it is no news.
            self._opened.exception()
        self._when_empty()
        bodies = told(error) if self._followers else []
        for follower in list(self._followers):
            follower.end(bodies)


def _event(message: bytes) -> Event | None:
    try:
        return events.decode(message)
    except msgspec.DecodeError:
        _log.warning("a message on the bus is no event of ours", size=len(message))
        return None


class Audiences:
    """All audiences of this process."""

    def __init__(self, engine: Engine, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._engine = engine
        self._heartbeat_s = heartbeat_s
        self._audiences: dict[object, Audience] = {}

    @property
    def count(self) -> int:
        """Audiences at this moment."""
        return len(self._audiences)

    @property
    def executions(self) -> int:
        """Executions of events by the audiences of this moment."""
        return sum(audience.executions for audience in self._audiences.values())

    async def of(self, ready: Ready, caller: Caller, *, cost: int | None = None) -> Audience:
        """The audience of this operation for this caller. RefusedError, EdgeError or DomainError when they may not follow it."""
        context = self._engine.context(caller, ready.cost if cost is None else cost)
        executor = self._engine.executor(ready, context)
        source = await _source(executor, ready)
        key = _key(ready, source)
        known = self._audiences.get(key)
        if known is None:
            known = self._audiences[key] = Audience(
                source,
                executor,
                bus=self._engine.ports.bus,
                heartbeat_s=self._heartbeat_s,
                when_empty=lambda: self._forget(key),
            )
        return known

    def _forget(self, key: object) -> None:
        self._audiences.pop(key, None)


async def _source(executor: Executor[Any], ready: Ready) -> Source:
    """What the subscription's resolver returns."""
    root: GraphQLObjectType | None = executor.schema.subscription_type
    node = ready.operation.node.selection_set.selections[0]
    if root is None or not isinstance(node, FieldNode) or node.name.value not in root.fields:
        raise EdgeError("There is no such subscription.", code=Code.BAD_USER_INPUT)
    field = root.fields[node.name.value]
    path = Path(None, (node.alias or node.name).value, root.name)
    info: GraphQLResolveInfo[Any] = executor.build_resolve_info(field, [node], root, path)
    arguments = get_argument_values(field, node, executor.variable_values, None, True)
    subscribe: Any = field.subscribe
    found = subscribe(None, info, **arguments)
    source: Source = await found if asyncio.iscoroutine(found) else found
    return source


def is_resync(ready: Ready) -> bool:
    """Whether the client had a cursor, whose place in the stream is not kept: it forgets what it had."""
    node = ready.operation.node.selection_set.selections[0]
    if not isinstance(node, FieldNode):
        return False
    given = next((one.value for one in node.arguments or () if one.name.value == _AFTER), None)
    name = getattr(getattr(given, "name", None), "value", None)
    if name is not None:
        return ready.request.variables.get(name) is not None
    return given is not None and given.kind != "null_value"


def _key(ready: Ready, source: Source) -> object:
    variables = {name: value for name, value in ready.request.variables.items() if name != _AFTER}
    shared = orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)
    visibility = source.visibility(ready.operation.field_paths)
    return (ready.document.text, ready.operation.node.name and ready.operation.node.name.value, shared, visibility)
