"""Questions made at random from the schema, which honest and curious clients could ask of a world."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLEnumType, GraphQLField, GraphQLInputObjectType, GraphQLNonNull, GraphQLObjectType

from tests.gql.operations import Enumerated, Operations, written

_MOST_ALIASES = 20
PERIOD = {"from": "2026-01-01", "to": "2026-05-01", "timeZone": "Europe/Oslo"}
"""All that ever happened in a world: whole charges are in it, whatever dates them."""


@dataclass
class Questions(Operations):
    """Queries with `id` everywhere, under aliases, from `node` and the lists, filtered by words of the world."""

    words: Sequence[str] = ()
    aliases: int = 0
    followed: list[str] = field(default_factory=list)
    """Global ids, of which some are asked for by `node`."""

    def query(self) -> str:
        """One query with a few fields."""
        self.wildness, self.aliases = 0.0, 0
        root = self.schema.query_type
        assert root is not None
        parts = []
        for _ in range(self.random.randint(1, 3)):
            if self.random.random() < 0.45:
                parts.append(self._node())
            else:
                name = self.random.choice(
                    ("chargers", "installations", "sessions", "sessions", "viewer", "usageSummary")
                )
                parts.append(self._field(name, root.fields[name], 1))
        return "query { " + " ".join(f"root{number}: {part}" for number, part in enumerate(parts)) + " }"

    def _node(self) -> str:
        identity = self.random.choice(self.followed)
        kind = self.schema.type_map[base64.urlsafe_b64decode(identity + "==").decode().partition(":")[0]]
        return f"node(id: {written(identity)}) {{ __typename ... on {kind.name}{self._selection(kind, 2)} }}"

    def _field(self, name: str, field: GraphQLField, depth: int) -> str:
        made = Operations._field(self, name, field, depth)
        if depth > 1 and self.aliases < _MOST_ALIASES and self.random.random() < 0.3:
            self.aliases += 1
            return f"{name}__{self.aliases}: {made}"
        return made

    def _selection(self, kind: Any, depth: int) -> str:
        made = Operations._selection(self, kind, depth)
        if isinstance(kind, GraphQLObjectType) and "id" in kind.fields:
            return made.replace("{ __typename", "{ __typename id", 1)
        return made

    def _value(self, kind: Any, name: str, depth: int) -> object:
        named = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
        if isinstance(named, GraphQLEnumType) and named.name == "ReportBasis":
            return Enumerated(self.random.choice(("REGISTERED", "ENDED")))  # INTERVAL tears energies apart
        if isinstance(named, GraphQLInputObjectType) and named.name == "PeriodInput":
            return dict(PERIOD)
        if getattr(named, "name", None) == "String" and self.random.random() < 0.8:
            return self._word()
        return Operations._value(self, kind, name, depth)

    def _word(self) -> str:
        word = self.random.choice(self.words)
        return self.random.choice((word, word.upper(), f"CP-{word}", f"Space {word}", f"{word}@example.com", "w"))
