"""Those who follow the same thing with the same eyes: each event is executed and written out once for all of them."""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
import orjson
import structlog
from graphql import Executor, FieldNode, GraphQLObjectType, GraphQLResolveInfo, VariableNode
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path

from domain import events, sql
from domain.errors import DomainError, UnavailableError
from domain.events import Event, Heard, Place
from domain.ports import EventLog
from gql.context import Context
from gql.engine import Caller, Engine, Ready, encoded, execute, told
from gql.errors import Code, EdgeError
from gql.limits import MAX_SUBSCRIPTIONS, Seats
from gql.live import Live, Source
from gql.loaders import Loaders

HEARTBEAT_S: Final = 25.0
_AFTER: Final = "after"

_log = structlog.get_logger(__name__)


class Follower(Protocol):
    """One client's operation."""

    def offer(self, key: object, payload: str, cursor: str | None = None, *, stays: bool = False) -> None:
        """The payload is on its way; one about the same (`key`) that still waits is replaced by it unless it `stays`, as does one about
        nothing. `cursor` is in it.
        """
        ...

    def forget(self) -> None:
        """What may be replaced no longer waits."""
        ...

    def end(self, errors: Sequence[dict[str, Any]] = ()) -> None:
        """Nothing more will come."""
        ...

    def break_off(self) -> None:
        """Nothing more will come for now: the client is to come back."""
        ...


class Audience:
    """Followers of one source. All that is told to them goes through one lock, so that everyone hears it in the same order.

    Where the source has cursors, everything that happens in its channel has a number, and the source is at one of them: what was
    missed is read from the log before anything later is told, and one who comes back is told what came between their place and ours.
    """

    def __init__(
        self,
        source: Source,
        executor: Executor[Any],
        *,
        log: EventLog,
        heartbeat_s: float,
        when_empty: Callable[[], None],
    ) -> None:
        self.source = source
        self.executions = 0
        self._executor = executor
        self._log = log
        self._heartbeat_s = heartbeat_s
        self._when_empty = when_empty
        self._followers: dict[Follower, None] = {}
        self._written: dict[object, tuple[object, str, str | None]] = {}
        self._lock = asyncio.Lock()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._joining = 0
        self._failure: Exception | None = None
        self._catching: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._run(), name="audience")

    async def join(self, follower: Follower, *, after: str | None = None, is_move: bool = False) -> None:
        """The follower has the present state, or what it missed since the cursor `after`, and hears of every change after it.

        Raises what kept the source from opening, or has ended it since.
        """
        self._joining += 1
        try:
            await asyncio.shield(self._opened)
            if after is not None and self._may_be_behind(after):
                await self._caught_up()
            async with self._lock:
                if self._failure is not None:
                    raise self._failure
                for live in await self._first(after, is_move=is_move):
                    follower.offer(live.key, *await self._written_out(live), stays=live.stays)
                if self._is_over:
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
                follower.offer(live.key, *await self._written_out(live), stays=live.stays)

    @property
    def _is_over(self) -> bool:
        return self._task.done() or self._failure is not None or self.source.is_over

    def _may_be_behind(self, after: str) -> bool:
        """Whether one with that cursor may have heard elsewhere what is still on its way to us: they must not be told older things."""
        cursors = self.source.cursors
        place = None if cursors is None else cursors.place_in(after)
        return cursors is not None and (
            place is None or place.epoch != cursors.place.epoch or place.number > cursors.place.number
        )

    async def _caught_up(self) -> None:
        """What was published up to now is told to all, whatever becomes of the one who waits for it."""
        under_way = self._catching
        if under_way is not None and not under_way.done():
            await asyncio.shield(under_way)
        if self._catching is under_way:
            self._catching = asyncio.create_task(self._catch_up_alone(), name="audience catches up")
        assert self._catching is not None  # noqa: S101  it was made, here or by another
        await asyncio.shield(self._catching)

    async def _catch_up_alone(self) -> None:
        try:
            await self._catch_up()
        # As in `_run`: the followers hear of it.
        except Exception as error:
            self._fail(error)
            self._task.cancel()

    async def _first(self, after: str | None, *, is_move: bool) -> Sequence[Live]:
        missed = None if after is None else await self._missed(after)
        if missed is not None:
            return missed
        return self.source.present(is_resync=after is not None, is_move=is_move)

    async def _missed(self, after: str) -> Sequence[Live] | None:
        """What came between that cursor and our place; None when that is not known."""
        cursors = self.source.cursors
        place = None if cursors is None else cursors.place_in(after)
        if cursors is None or place is None or place.epoch != cursors.place.epoch:
            return None
        count = cursors.place.number - place.number
        messages: Sequence[bytes] = ()
        if count != 0:
            try:
                kept = await self._log.read(self.source.channel, place)
            except UnavailableError:
                return None
            if count < 0 or kept.messages is None or len(kept.messages) < count:
                return None
            messages = kept.messages[:count]
        return await self.source.replay([event for one in messages if (event := _event(one)) is not None], after)

    def _close_when_empty(self) -> None:
        if not self._followers and not self._joining:
            self._when_empty()
            self._task.cancel()

    async def _run(self) -> None:
        try:
            async with self._log.follow(self.source.channel) as messages:
                if self.source.cursors is not None:
                    self.source.cursors.move((await self._log.read(self.source.channel)).place)
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
                    heard: Heard = await next_message()
            except TimeoutError:
                await self._look_again()
                beat_at = clock() + self._heartbeat_s
                continue
            except StopAsyncIteration:
                raise EdgeError("The server is closing. Connect again.", code=Code.INTERNAL) from None
            await self._hear(heard)
        for follower in list(self._followers):
            follower.end()

    async def _hear(self, heard: Heard) -> None:
        cursors = self.source.cursors
        if heard.message is None:
            await self._look_again()
        elif cursors is None or heard.place is None:
            await self._spread(heard.message)
        elif heard.place == cursors.place.after(1):
            await self._spread(heard.message, heard.place)
        elif heard.place.epoch != cursors.place.epoch or heard.place.number > cursors.place.number:
            await self._catch_up()

    async def _look_again(self) -> None:
        """What may not have been heard is told, and a sign of life."""
        await self._catch_up()
        async with self._lock:
            await self._offer(await self.source.refresh())

    async def _catch_up(self) -> None:
        """What was published up to now is told; when that is not known without a gap, everybody begins anew."""
        cursors = self.source.cursors
        if cursors is None:
            return
        before = cursors.place
        try:
            kept = await self._log.read(self.source.channel, before)
        except UnavailableError:
            # Nothing is lost: our place stays where it is, and the next heartbeat looks again.
            return
        for number, message in enumerate(kept.messages or (), start=1):
            await self._spread(message, before.after(number))
        if kept.messages is None:
            await self._begin_anew(kept.place)

    async def _begin_anew(self, place: Place) -> None:
        cursors = self.source.cursors
        async with self._lock:
            if cursors is None or (cursors.place.epoch == place.epoch and cursors.place.number >= place.number):
                return
            await self.source.refresh()
            cursors.move(place)
            for follower in self._followers:
                follower.forget()
            await self._offer(self.source.present(is_resync=True, is_move=False))

    async def _spread(self, message: bytes, place: Place | None = None) -> None:
        """What the fact changes is told. One whose place is not the next is known already."""
        async with self._lock:
            if place is not None and self.source.cursors is not None:
                if place != self.source.cursors.place.after(1):
                    return
                self.source.cursors.move(place)
            event = _event(message)
            if event is not None:
                await self._offer(await self.source.take(event))

    async def _offer(self, lives: Sequence[Live]) -> None:
        for live in lives:
            text, cursor = await self._written_out(live)
            for follower in self._followers:
                follower.offer(live.key, text, cursor, stays=live.stays)

    async def _written_out(self, live: Live) -> tuple[str, str | None]:
        """The payload with the closing brace of its message (what follows the client's own id), and the cursor in it."""
        if live.same_as is not None:
            what, version = live.same_as
            known = self._written.get(what)
            if known is not None and known[0] == version:
                return known[1], known[2]
        executor = self._executor.build_per_event_executor(live.value)
        context: Context = executor.context_value
        context.loaders = Loaders(context.access, live.known)
        self.executions += 1
        result = await execute(executor)
        text = encoded(result).decode() + "}"
        # What went wrong may go well for the next.
        if live.same_as is not None and not result.errors:
            self._written[live.same_as[0]] = (live.same_as[1], text, live.cursor)
        return text, live.cursor

    def _fail(self, error: Exception) -> None:
        self._failure = error
        if not self._opened.done():
            self._opened.set_exception(error)
            # Nobody may be waiting any more; then it is no news.
            self._opened.exception()
        self._when_empty()
        followers = list(self._followers)
        if isinstance(error, sql.DATABASE_AWAY):
            _log.warning("streams are broken off: the database is away", reason=type(error).__name__)
            for follower in followers:
                follower.break_off()
            return
        bodies = told(error) if followers else []
        for follower in followers:
            follower.end(bodies)


def _event(message: bytes) -> Event | None:
    try:
        return events.decode(message)
    except msgspec.DecodeError:
        _log.warning("a message on the bus is no event of ours", size=len(message))
        return None


class Audiences:
    """All audiences of this process."""

    def __init__(
        self, engine: Engine, *, heartbeat_s: float = HEARTBEAT_S, most_subscriptions: int = MAX_SUBSCRIPTIONS
    ) -> None:
        self.seats = Seats(most_subscriptions)
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

    async def of(self, ready: Ready, caller: Caller, *, cost: int | None = None) -> tuple[Audience, str | None]:
        """The audience of this operation for this caller, and the cursor with which they come back, if they do.

        RefusedError, EdgeError or DomainError when they may not follow it.
        """
        context = self._engine.context(caller, ready.cost if cost is None else cost)
        executor = self._engine.executor(ready, context)
        source, after = await _source(executor, ready)
        key = _key(ready, source)
        known = self._audiences.get(key)
        if known is None:
            known = self._audiences[key] = Audience(
                source,
                executor,
                log=self._engine.ports.log,
                heartbeat_s=self._heartbeat_s,
                when_empty=lambda: self._forget(key, known),
            )
        return known, after

    def _forget(self, key: object, audience: Audience | None) -> None:
        if self._audiences.get(key) is audience:
            self._audiences.pop(key, None)


async def _source(executor: Executor[Any], ready: Ready) -> tuple[Source, str | None]:
    """What the subscription's resolver returns, and its cursor."""
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
    return source, arguments.get(_AFTER)


def _cursor_variable(ready: Ready) -> str | None:
    """The variable that is the cursor and nothing else: those who differ in it alone follow the same."""
    node = ready.operation.node.selection_set.selections[0]
    arguments = node.arguments or () if isinstance(node, FieldNode) else ()
    given = next((one.value for one in arguments if one.name.value == _AFTER), None)
    if not isinstance(given, VariableNode):
        return None
    name = given.name.value
    mentions = re.findall(rf"\${name}\b", ready.document.text)
    return name if len(mentions) == len(("declared", "used")) else None


def _key(ready: Ready, source: Source) -> object:
    """Equal for those who hear the same. The channel tells where a charger stands, which may have moved since others came."""
    theirs = _cursor_variable(ready)
    variables = {name: value for name, value in ready.request.variables.items() if name != theirs}
    shared = orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)
    visibility = source.visibility(ready.operation.field_paths)
    return (
        ready.document.text,
        ready.operation.node.name and ready.operation.node.name.value,
        shared,
        source.channel,
        visibility,
    )
