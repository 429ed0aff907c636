"""Operations made at random from the schema, with the values that break programs, for each role alike."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
)

_TEXTS = (
    "",
    " ",
    "a",
    "Space 1",
    "\x00",
    "a\x00b",
    "\U0001f697" * 60,
    "İıßſ",
    "%_!'\";--",
    "' OR 1=1",
    "x" * 201,
    "x" * 5_000,
    "NaN",
    "1",
    "Europe/Oslo",
    "../../etc/passwd",
    "\u202e\u2028\ufeff",
    "a@b.example",
    "=1+1",
)
_INTS = (0, 1, 2, 5, 60, 100, -1, 101, 2**31 - 1, -(2**31), 2**31, 2**63)
_FLOATS = (0, 0.0, 6, 16.0, 63, -0.0, -1, 1e-300, 1e300, 1e308, 6300, 6300.5)
_DECIMALS = (
    "0",
    "1",
    "12.5",
    "-1",
    "0.0001",
    "1e15",
    "9e999999",
    "-9e999999",
    "1e-999999",
    "NaN",
    "Infinity",
    "1" * 40,
    "x",
)
_INSTANTS = (
    "2026-03-01T12:00:00Z",
    "2026-03-01T13:00:00+01:00",
    "2027-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999999-12:00",
    "2026-02-30T00:00:00Z",
    "2026-03-01T12:00:00",
    "",
)
_DATES = (
    "2026-03-01",
    "2026-04-01",
    "2025-01-01",
    "0001-01-01",
    "9999-12-31",
    "1970-01-02",
    "2200-01-01",
    "2026-13-01",
    "",
)
_TIMES = ("00:00", "23:59", "24:00", "")
_CURSORS = (
    "",
    "x",
    "bnVsbA",
    "W10",
    "\x00",
    "WyJpZCIsIngiXQ",
)
_VALUES: Mapping[str, Sequence[object]] = {
    "String": _TEXTS,
    "Int": _INTS,
    "Float": _FLOATS,
    "Decimal": _DECIMALS,
    "DateTime": _INSTANTS,
    "Date": _DATES,
    "Time": _TIMES,
    "Boolean": (True, False),
}
_TAME: Mapping[str, Sequence[object]] = {
    "String": _TEXTS[2:4],
    "Int": _INTS[1:6],
    "Float": (6.0, 16.0),
    "Decimal": _DECIMALS[:3],
    "DateTime": _INSTANTS[:3],
    "Date": _DATES[:3],
    "Time": _TIMES[:2],
    "Boolean": (True, False),
}
_DEEPEST = 7
_WILDNESS = (0.0, 0.03, 0.08, 0.2)


class Enumerated(str):
    """A value of an enum, written without quotes."""

    __slots__ = ()


@dataclass(slots=True)
class Operations:
    """A source of operations; `ids` are global ids that mean something, by their type, and `cursors` those that pages gave."""

    schema: GraphQLSchema
    random: Random
    ids: Mapping[str, Sequence[str]]
    cursors: list[str]
    wildness: float = 0.0
    """How often a value is one that no honest client sends; another for each operation, so that some of them get far."""

    def query(self) -> str:
        """One query with a few fields."""
        self.wildness = self.random.choice(_WILDNESS)
        root = self.schema.query_type
        assert root is not None
        names = self.random.sample(sorted(root.fields), self.random.randint(1, 3))
        return "query { " + " ".join(self._field(name, root.fields[name], 1) for name in names) + " }"

    def mutation(self) -> str:
        """One mutation with all that its result says."""
        self.wildness = self.random.choice(_WILDNESS)
        root = self.schema.mutation_type
        assert root is not None
        name = self.random.choice(sorted(root.fields))
        return "mutation { " + self._field(name, root.fields[name], _DEEPEST - 2) + " }"

    def _field(self, name: str, field: GraphQLField, depth: int) -> str:
        named = get_named_type(field.type)
        given = self._arguments(field.args)
        selection = "" if is_leaf_type(named) else self._selection(named, depth)
        return f"{name}{given}{selection}"

    def _selection(self, kind: Any, depth: int) -> str:
        if isinstance(kind, GraphQLUnionType):
            members = [f"... on {one.name} {self._selection(one, depth)}" for one in self._some(kind.types)]
            return " { __typename " + " ".join(members) + " }"
        if isinstance(kind, GraphQLInterfaceType):
            one = self.random.choice(self.schema.get_possible_types(kind))
            return f" {{ __typename ... on {one.name} {self._selection(one, depth)} }}"
        assert isinstance(kind, GraphQLObjectType)
        leaves = [name for name, field in kind.fields.items() if is_leaf_type(get_named_type(field.type))]
        inner = [name for name in kind.fields if name not in leaves]
        chosen = self._some(leaves) if leaves else []
        if depth < _DEEPEST and inner:
            chosen = [*chosen, *self._some(inner)[:2]]
        if "nodes" in inner and depth < _DEEPEST:
            chosen = [*dict.fromkeys([*chosen, "nodes"])]
        fields = [self._field(name, kind.fields[name], depth + 1) for name in dict.fromkeys(chosen)]
        return " { " + " ".join(["__typename", *fields]) + " }"

    def _some(self, things: Sequence[Any]) -> list[Any]:
        count = self.random.randint(1, min(len(things), 5))
        return self.random.sample(list(things), count)

    def _arguments(self, arguments: Mapping[str, GraphQLArgument]) -> str:
        given = {}
        for name, argument in arguments.items():
            if name in ("first", "last", "after", "before"):
                continue
            if isinstance(argument.type, GraphQLNonNull) or self.random.random() < 0.4:
                given[name] = self._value(argument.type, name, 0)
        if "first" in arguments:
            given |= self._page()
        if not given:
            return ""
        return "(" + ", ".join(f"{name}: {written(value)}" for name, value in given.items()) + ")"

    def _page(self) -> dict[str, object]:
        is_wild = self.random.random() < self.wildness / 3
        size = self.random.choice(_INTS) if is_wild else self.random.randint(1, 4)
        page: dict[str, object] = {self.random.choice(("first", "first", "last")): size}
        if self.random.random() < 0.3:
            pool = self.cursors if self.cursors and self.random.random() < 0.8 else _CURSORS
            page[self.random.choice(("after", "before"))] = self.random.choice(pool)
        return page

    def _value(self, kind: Any, name: str, depth: int) -> object:
        if isinstance(kind, GraphQLNonNull):
            kind = kind.of_type
        elif self.random.random() < 0.05:
            return None
        if isinstance(kind, GraphQLList):
            count = self.random.choice((1, 1, 2, 3, 0, 60) if self.random.random() < self.wildness else (1, 2))
            return [self._value(kind.of_type, name, depth + 1) for _ in range(count)]
        if isinstance(kind, GraphQLEnumType):
            return Enumerated(self.random.choice(sorted(kind.values)))
        if isinstance(kind, GraphQLInputObjectType):
            return self._object(kind, depth)
        if kind.name == "ID":
            return self._id(name)
        pool = _VALUES if self.random.random() < self.wildness else _TAME
        return self.random.choice(pool[kind.name])

    def _object(self, kind: GraphQLInputObjectType, depth: int) -> dict[str, object]:
        names = list(kind.fields)
        if kind.is_one_of:
            names = [self.random.choice(names)]
        given = {}
        for name in names:
            field = kind.fields[name]
            is_needed = isinstance(field.type, GraphQLNonNull) or kind.is_one_of
            is_deep = isinstance(get_named_type(field.type), GraphQLInputObjectType)
            chance = (0.15 if depth > 1 else 0.4) if is_deep else 0.35
            if is_needed or (self.random.random() < chance and depth < 5):
                given[name] = self._value(field.type, name, depth + 1)
        return given

    def _id(self, name: str) -> str:
        if self.random.random() < self.wildness:
            return self.random.choice(_TEXTS)
        wanted = next((kind for kind in self.ids if kind.lower() in f"{name.lower()}"), None)
        kind = wanted if wanted and self.random.random() < 0.9 else self.random.choice(sorted(self.ids))
        return self.random.choice(self.ids[kind])


def written(value: object) -> str:
    """The value as GraphQL's text."""
    match value:
        case Enumerated():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{name}: {written(one)}" for name, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)
