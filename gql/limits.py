"""How large an operation may be: its text, its shape and the number of objects that it can reach, known before it runs."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

from domain.clock import Clock
from gql.context import Budget
from gql.errors import Code, EdgeError

MAX_BODY_BYTES: Final = 256 * 1024
MAX_IMPORT_BODY_BYTES: Final = 2 * 1024 * 1024
"""Of a request over HTTP with a valid token: a table of 1 MiB and what JSON makes of its quotes and line breaks."""
MAX_TOKENS: Final = 2_000
MAX_DEPTH: Final = 12
MAX_ALIASES: Final = 30
MAX_ROOT_FIELDS: Final = 20
MAX_PAGE: Final = 100
MAX_VALUE_DEPTH: Final = 24
"""Lists and objects within one another in an argument; filters of four levels need half of it."""
MAX_COST: Final = 10_000
"""Objects that one operation can reach at most: a page of 100 chargers with the last 90 sessions of each."""
MAX_SUBSCRIPTIONS: Final = 1_000
"""Of one person or program at once, in each process."""
POINTS_PER_MINUTE: Final = 100_000
LIST_LENGTH: Final = 10
"""What a bounded list without pages is taken to hold."""
SUMMARY: Final = 1_000
"""What a usage summary costs beside its rows: it adds up years of sessions."""

CORRECTIONS: Final = 100
"""What it costs to compare a locked period with its sessions as they are now."""

SIMULATION: Final = 1_000
"""What a simulated decision costs: the solver's work for a whole site."""

DASHBOARD: Final = 90
"""What a dashboard costs beside its parts: some queries for each installation."""

_PRICES: Final[Mapping[str, int]] = {
    **{f"{kind}.usageSummary": SUMMARY for kind in ("Query", "Viewer", "Installation")},
    **{f"LockedReport.{name}": CORRECTIONS for name in ("corrections", "correctionCount")},
    "Query.simulateBalancing": SIMULATION,
    "Installation.dashboard": DASHBOARD,
}
_IDS: Final = "ids"
"""The argument of a list that holds as many things as were asked for by id."""

_ROOTS = {OperationType.QUERY: "query", OperationType.MUTATION: "mutation", OperationType.SUBSCRIPTION: "subscription"}


@dataclass(frozen=True, slots=True)
class _Amount:
    """A number in the document, or the name of the variable that will hold it; both None when it is absent."""

    number: int | None = None
    variable: str | None = None
    default: int | None = None

    def of(self, variables: Mapping[str, Any], node: FieldNode) -> int | None:
        if self.variable is None:
            return self.number
        value = variables.get(self.variable, self.default)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        # Variables are only coerced when the operation runs, which is after this.
        raise _refused(f"The variable `${self.variable}` must be a whole number from 1 to {MAX_PAGE}.", node)


@dataclass(frozen=True, slots=True)
class _PagedField:
    """A connection in the document: its page size is known once the variables are."""

    node: FieldNode
    factor: int
    first: _Amount
    last: _Amount
    inner: "Reach"

    def objects(self, variables: Mapping[str, Any]) -> int:
        first, last = self.first.of(variables, self.node), self.last.of(variables, self.node)
        if (first is None) == (last is None):
            raise _refused(
                f"`{self.node.name.value}` needs either `first` or `last`, from 1 to {MAX_PAGE}: it is a list in pages.",
                self.node,
            )
        size = first if first is not None else last
        if size is None or not 1 <= size <= MAX_PAGE:
            raise _refused(
                f"`{'first' if first is not None else 'last'}` of `{self.node.name.value}` must be from 1 to {MAX_PAGE}; "
                "get more with `after` or `before` and the page's cursors.",
                self.node,
            )
        return self.factor * (1 + size * max(1, self.inner.objects(variables)))


@dataclass(frozen=True, slots=True)
class _NamedField:
    """A list of things by their ids: `count` of them are written in the document, or as many as a variable holds."""

    node: FieldNode
    factor: int
    count: int
    variable: str | None
    inner: "Reach"

    def objects(self, variables: Mapping[str, Any]) -> int:
        given = variables.get(self.variable) if self.variable is not None else None
        count = len(given) if isinstance(given, list) else self.count
        return self.factor * count * (1 + self.inner.objects(variables))


@dataclass(frozen=True, slots=True)
class Reach:
    """How many objects a selection can reach: some for certain, the rest by the sizes of its pages."""

    certain: int
    paged: tuple[_PagedField | _NamedField, ...]

    def objects(self, variables: Mapping[str, Any]) -> int:
        """The number with these variables. A connection without a page size, or too large a one, is refused."""
        return self.certain + sum(field.objects(variables) for field in self.paged)

    def times(self, factor: int) -> "Reach":
        """The same selection made on that many objects."""
        if factor == 1:
            return self
        return Reach(self.certain * factor, tuple(replace(one, factor=one.factor * factor) for one in self.paged))


_NOTHING = Reach(0, ())

_LONGEST_NAME: Final = 60


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document that is within the limits of shape."""

    node: OperationDefinitionNode
    kind: OperationType
    reach: Reach
    field_paths: frozenset[str]
    """`Type.field` of everything selected, so that it is known what an operation looks at."""

    @property
    def short_name(self) -> str:
        """The beginning of what its client calls it; empty where it has no name."""
        return self.node.name.value[:_LONGEST_NAME] if self.node.name else ""

    def cost(self, variables: Mapping[str, Any]) -> int:
        """Points: one for the operation and one for each object that it can reach. COST_EXCEEDED when that is too much."""
        points = 1 + self.reach.objects(variables)
        if points > MAX_COST:
            message = f"This can reach {points:,} objects, more than the {MAX_COST:,} of one operation: ask for smaller pages or in parts."
            raise EdgeError(message, code=Code.COST_EXCEEDED, extensions={"cost": points, "limit": MAX_COST})
        return points


class Seats:
    """Subscriptions that each caller has at once in this process."""

    def __init__(self, most: int = MAX_SUBSCRIPTIONS) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    def take(self, caller: str) -> Callable[[], None]:
        """One more, and what gives it back. EdgeError (RATE_LIMITED) when that would be too many."""
        if self._taken[caller] >= self._most:
            message = f"At most {self._most:,} subscriptions at once for one person or program: complete others first."
            raise EdgeError(message, code=Code.RATE_LIMITED)
        self._taken[caller] += 1

        def give_back() -> None:
            self._taken[caller] -= 1
            if not self._taken[caller]:
                del self._taken[caller]

        return give_back


class Meter:
    """Points of each caller in the running minute, counted in this process: several processes allow as many times more."""

    def __init__(self, clock: Clock, points_per_minute: int = POINTS_PER_MINUTE) -> None:
        self._clock = clock
        self._limit = points_per_minute
        self._minute = datetime.min.replace(tzinfo=UTC)
        self._spent: dict[str, int] = {}

    def spend(self, caller: str, cost: int) -> Budget:
        """The caller has paid. EdgeError (RATE_LIMITED) when there are not enough points left; then nothing is paid."""
        now = self._clock.now()
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute, self._spent = minute, {}
        reset_at = minute + timedelta(minutes=1)
        spent = self._spent.get(caller, 0) + cost
        if spent > self._limit:
            wait_s = max(1, math.ceil((reset_at - now).total_seconds()))
            message = (
                f"This costs {cost:,} points and fewer are left of {self._limit:,} a minute. Try again in {wait_s} s."
            )
            raise EdgeError(message, code=Code.RATE_LIMITED, extensions={"retryAfterSeconds": wait_s, "cost": cost})
        self._spent[caller] = spent
        return Budget(limit=self._limit, remaining=self._limit - spent, cost=cost, reset_at=reset_at)


def check_text(document: DocumentNode) -> None:
    """The number of aliases is within its limit, and so are the values written in the document."""
    aliases = sum(1 for field in _all_fields(document) if field.alias is not None)
    if aliases > MAX_ALIASES:
        raise _refused(f"There are {aliases} aliases, more than {MAX_ALIASES}: send several operations instead.")
    values: list[tuple[Any, int]] = [
        (argument.value, 1) for field in _all_fields(document) for argument in field.arguments or ()
    ]
    values += [
        (one.default_value, 1)
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
        for one in node.variable_definitions or ()
    ]
    _check_each(values, _inside_node)


def check_variables(variables: Mapping[str, Any]) -> None:
    """No value is nested deeper than any input, and no text has a null character in it, which PostgreSQL cannot keep."""
    _check_each([(one, 1) for one in variables.values()], _inside_value)


def _check_each(waiting: list[tuple[Any, int]], inside: Callable[[Any], Iterable[Any]]) -> None:
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_VALUE_DEPTH:
            raise _refused(f"A value is nested more than {MAX_VALUE_DEPTH} levels deep: ask in several steps.")
        text = value.value if isinstance(value, StringValueNode) else value
        if isinstance(text, str) and "\0" in text:
            raise _refused("A text has a null character (U+0000) in it, which cannot be kept: leave it out.")
        waiting.extend((one, depth + 1) for one in inside(value))


def _inside_value(value: Any) -> Iterable[Any]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
    return ()


def _inside_node(node: Any) -> Iterable[Any]:
    match node:
        case ObjectValueNode():
            return (one.value for one in node.fields)
        case ListValueNode():
            return node.values
    return ()


def operations_of(schema: GraphQLSchema, document: DocumentNode) -> dict[str | None, Operation]:
    """The operations by name, each within the limits of shape. The document must be valid."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    found: dict[str | None, Operation] = {}
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            found[node.name.value if node.name else None] = _Measure(schema, fragments, node).operation()
    return found


def _refused(message: str, *nodes: FieldNode) -> GraphQLError:
    error = EdgeError(message, code=Code.BAD_USER_INPUT)
    return GraphQLError(message, list(nodes) or None, original_error=error)


def _all_fields(document: DocumentNode) -> Iterator[FieldNode]:
    waiting: list[SelectionSetNode] = [
        node.selection_set
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FieldNode):
                yield selection
            inner = getattr(selection, "selection_set", None)
            if inner is not None:
                waiting.append(inner)


class _Measure:
    """Measures one operation; each fragment is measured once however often it is spread."""

    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], node: OperationDefinitionNode
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._node = node
        self._defaults = {
            one.variable.name.value: int(one.default_value.value)
            for one in node.variable_definitions or ()
            if isinstance(one.default_value, IntValueNode)
        }
        self._known: dict[tuple[str, str], tuple[Reach, int]] = {}
        self._paths: set[str] = set()

    def operation(self) -> Operation:
        root = self._schema.get_root_type(self._node.operation)
        if root is None:
            raise _refused(f"There are no {_ROOTS[self._node.operation]} operations here.")
        reach, depth = self._selection(self._node.selection_set, root)
        if depth > MAX_DEPTH:
            raise _refused(f"The operation is {depth} levels deep, more than {MAX_DEPTH}: ask in several steps.")
        self._check_roots(reach)
        return Operation(self._node, self._node.operation, reach, frozenset(self._paths))

    def _check_roots(self, reach: Reach) -> None:
        count = len(self._node.selection_set.selections)
        if count > MAX_ROOT_FIELDS:
            raise _refused(
                f"There are {count} fields at the root, more than {MAX_ROOT_FIELDS}: send several operations instead."
            )
        if self._node.operation is not OperationType.SUBSCRIPTION:
            return
        if count != 1 or not isinstance(self._node.selection_set.selections[0], FieldNode):
            raise _refused("A subscription has exactly one field at its root: start one subscription for each.")
        if reach.paged:
            name = reach.paged[0].node.name.value
            raise _refused(
                f"`{name}` is a list in pages, which a subscription cannot follow: query it instead.",
                reach.paged[0].node,
            )

    def _selection(self, selections: SelectionSetNode, parent: Any) -> tuple[Reach, int]:
        paged: list[_PagedField | _NamedField] = []
        certain = depth = 0
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                reach, below = self._field(selection, parent)
            elif isinstance(selection, FragmentSpreadNode):
                reach, below = self._spread(selection.name.value)
            elif isinstance(selection, InlineFragmentNode):
                named = selection.type_condition
                reach, below = self._selection(
                    selection.selection_set, self._schema.get_type(named.name.value) if named else parent
                )
            else:
                continue
            certain += reach.certain
            paged.extend(reach.paged)
            depth = max(depth, below)
        return Reach(min(certain, MAX_COST + 1), tuple(paged)), depth

    def _spread(self, name: str) -> tuple[Reach, int]:
        fragment = self._fragments[name]
        key = (name, fragment.type_condition.name.value)
        if key not in self._known:
            self._known[key] = self._selection(fragment.selection_set, self._schema.get_type(key[1]))
        return self._known[key]

    def _field(self, node: FieldNode, parent: Any) -> tuple[Reach, int]:
        name = node.name.value
        # Introspection is bounded by graphql-core's own rule and reads no data.
        if name.startswith("__") or not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return _NOTHING, 1
        self._paths.add(f"{parent.name}.{name}")
        definition = parent.fields[name]
        if node.selection_set is None:
            return _NOTHING, 1
        named = get_named_type(definition.type)
        inner, below = self._selection(node.selection_set, named)
        if isinstance(named, GraphQLObjectType) and named.name.endswith("Connection"):
            paged = _PagedField(node, 1, self._amount(node, "first"), self._amount(node, "last"), inner)
            return Reach(0, (paged,)), below + 1
        named_by = next((one.value for one in node.arguments or () if one.name.value == _IDS), None)
        if named_by is not None:
            return Reach(0, (self._named(node, named_by, inner),)), below + 1
        is_page = parent.name.endswith("Connection")
        factor = LIST_LENGTH if _is_list(definition.type) and not is_page else 1
        reached = inner.times(factor)
        price = _PRICES.get(f"{parent.name}.{name}", factor)
        return Reach(reached.certain + price, reached.paged), below + 1

    def _named(self, node: FieldNode, value: ValueNode, inner: Reach) -> _NamedField:
        if isinstance(value, VariableNode):
            return _NamedField(node, 1, MAX_PAGE, value.name.value, inner)
        return _NamedField(node, 1, len(value.values) if isinstance(value, ListValueNode) else 1, None, inner)

    def _amount(self, node: FieldNode, name: str) -> _Amount:
        value: ValueNode | None = next((one.value for one in node.arguments or () if one.name.value == name), None)
        if isinstance(value, IntValueNode):
            return _Amount(number=int(value.value))
        if isinstance(value, VariableNode):
            return _Amount(variable=value.name.value, default=self._defaults.get(value.name.value))
        return _Amount()


def _is_list(kind: Any) -> bool:
    while isinstance(kind, GraphQLNonNull):
        kind = kind.of_type
    return isinstance(kind, GraphQLList)
