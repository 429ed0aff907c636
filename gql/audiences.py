"""All who follow something in this process: whoever sees the same of the same is one audience."""

import asyncio
import functools
import re
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson
from graphql import Executor, FieldNode, GraphQLObjectType, GraphQLResolveInfo, VariableNode
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path

from domain.access import Access
from gql.audience import Audience
from gql.channels import Channels
from gql.engine import Caller, Engine, Ready
from gql.errors import Code, EdgeError
from gql.limits import MAX_SUBSCRIPTIONS, Seats
from gql.live import Source
from gql.live_counts import LiveCounts
from gql.texts import Texts

HEARTBEAT_S: Final = 25.0
_AFTER: Final = "after"


class Audiences:
    """All audiences of this process."""

    def __init__(
        self, engine: Engine, *, heartbeat_s: float = HEARTBEAT_S, most_subscriptions: int = MAX_SUBSCRIPTIONS
    ) -> None:
        self.seats = Seats(most_subscriptions)
        self._engine = engine
        self._heartbeat_s = heartbeat_s
        self._channels = Channels(engine.ports.log)
        self._audiences: dict[object, Audience] = {}
        self._texts: WeakValueDictionary[object, Texts] = WeakValueDictionary()
        self.counts = LiveCounts()

    @property
    def count(self) -> int:
        """Audiences at this moment."""
        return len(self._audiences)

    @property
    def executions(self) -> int:
        """How many events have been written out."""
        return self.counts.executions

    async def of(self, ready: Ready, caller: Caller, *, cost: int | None = None) -> tuple[Audience, str | None]:
        """The audience of this operation for this caller, and the cursor with which they come back, if they do.

        RefusedError, EdgeError or DomainError when they may not follow it.
        """
        context = self._engine.context(caller, ready.cost if cost is None else cost)
        executor = self._engine.executor(ready, context)
        found, after = await _source(executor, ready)
        source = found.narrowed(ready.operation.field_paths)
        operation = _operation_key(ready, source)
        key = (operation, source.visibility)
        known = self._audiences.get(key)
        if known is None:
            known = self._audiences[key] = Audience(
                source,
                self._texts_of(operation, source, executor, ready),
                channels=self._channels,
                counts=self.counts.roots[_root(ready)],
                heartbeat_s=self._heartbeat_s,
                when_empty=functools.partial(self._forget, key),
            )
        return known, after

    def _texts_of(self, operation: object, source: Source, executor: Executor[Any], ready: Ready) -> Texts:
        """Those of all who ask in the same words, where an event comes with all that it shows; else their own."""
        counts, name = self.counts.roots[_root(ready)], ready.operation.short_name
        if not source.is_complete:
            return Texts(executor, source.access, counts, operation=name, is_complete=False)
        known = self._texts.get(operation)
        if known is None:
            nobody = Access.nobody(source.access.now)
            known = self._texts[operation] = Texts(executor, nobody, counts, operation=name, is_complete=True)
        return known

    def _forget(self, key: object, audience: Audience) -> None:
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


def _root(ready: Ready) -> str:
    node = ready.operation.node.selection_set.selections[0]
    return node.name.value if isinstance(node, FieldNode) else ""


def _operation_key(ready: Ready, source: Source) -> object:
    """Equal for those who ask for the same. The channel tells where a charger stands, which may have moved since others came."""
    theirs = _cursor_variable(ready)
    variables = {name: value for name, value in ready.request.variables.items() if name != theirs}
    # A text is as long as it is; of orjson's bytes a whole buffer stays.
    shared = orjson.dumps(variables, option=orjson.OPT_SORT_KEYS).decode()
    name = ready.operation.node.name and ready.operation.node.name.value
    return (ready.document.text, name, shared, source.channel)
