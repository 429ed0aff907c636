"""The public schema: all nouns put together. A new noun adds its line to each table here."""

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, Final

import strawberry
from graphql import (
    GraphQLAbstractType,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionContext
from strawberry.types.field import StrawberryField

from gql.ids import global_id
from gql.rows import RowExecutor, mark_leaf
from gql.schema import (
    alerts,
    audit,
    authorization,
    balancing,
    cards,
    chargers,
    circuits,
    commands,
    dashboard,
    enums,
    exports,
    groups,
    installations,
    live,
    ocpp_messages,
    people,
    permissions,
    report_schedules,
    reports,
    root,
    service_accounts,
    sessions,
    tariffs,
    usage,
)
from gql.schema.errors import ERRORS
from gql.schema.fields import READ, RELATION
from gql.schema.mutations import register_loads
from gql.schema.nodes import NodeKind, type_name_of
from gql.schema.scalars import SCALARS

NODES: Final[tuple[NodeKind, ...]] = (
    *people.NODES,
    *installations.NODES,
    *circuits.NODES,
    *chargers.NODES,
    *permissions.NODES,
    *groups.NODES,
    *cards.NODES,
    *service_accounts.NODES,
    *balancing.NODES,
    *ocpp_messages.NODES,
    *sessions.NODES,
    *commands.NODES,
    *exports.NODES,
    *tariffs.NODES,
    *reports.NODES,
    *report_schedules.NODES,
    *authorization.NODES,
    *audit.NODES,
    *alerts.NODES,
    *dashboard.NODES,
)
"""Everything with a global id."""

ROWS: Final[Mapping[type, type]] = {}
"""Rows of types without an id that are members of unions, by their class: (row class → schema type)."""


QUERIES: Final[tuple[type, ...]] = (
    root.RootQueries,
    people.PeopleQueries,
    installations.InstallationQueries,
    chargers.ChargerQueries,
    sessions.SessionQueries,
    usage.UsageQueries,
    balancing.BalancingQueries,
)
MUTATIONS: Final[tuple[type, ...]] = (
    people.PeopleMutations,
    permissions.PermissionMutations,
    groups.GroupMutations,
    cards.CardMutations,
    service_accounts.ServiceAccountMutations,
    installations.InstallationMutations,
    circuits.CircuitMutations,
    chargers.ChargerMutations,
    sessions.SessionMutations,
    commands.CommandMutations,
    exports.ExportMutations,
    tariffs.TariffMutations,
    reports.ReportMutations,
    report_schedules.ReportScheduleMutations,
    authorization.AuthorizationMutations,
    audit.PrivacyMutations,
    alerts.AlertMutations,
)
SUBSCRIPTIONS: Final[tuple[type, ...]] = (live.LiveSubscriptions, alerts.AlertStreams, dashboard.DashboardStreams)

_BACKREF = "strawberry-definition"


class Schema(strawberry.Schema):
    """Strawberry's schema, read from rows: fields of rows cost no call of a resolver, and types are known by the row's class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _read_rows(self.core, _shown_by_row())

    @property
    def core(self) -> GraphQLSchema:
        """graphql-core's schema."""
        return self._schema

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing: the edge logs a defect once, and a client's mistakes are the client's."""


@cache
def public_schema() -> Schema:
    """The schema of this program."""
    register_loads({kind.name: kind.load for kind in NODES if kind.load is not None})
    return Schema(
        query=_root("Query", QUERIES),
        mutation=_root("Mutation", MUTATIONS) if MUTATIONS else None,
        subscription=_root("Subscription", SUBSCRIPTIONS) if SUBSCRIPTIONS else None,
        execution_context_class=RowExecutor,
        types=[*(kind.shown for kind in NODES), *ERRORS.values(), *enums.SHOWN],
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )


def _root(name: str, parts: tuple[type, ...]) -> type:
    return strawberry.type(type(name, parts, {"__doc__": f"All of {name}."}))


def _shown_by_row() -> dict[type, str]:
    shown = {**ERRORS, **ROWS, **{kind.row: kind.shown for kind in NODES}}
    return {row: type_name_of(kind) for row, kind in shown.items()}


def _read_rows(schema: GraphQLSchema, names: Mapping[type, str]) -> None:
    def type_name(value: Any, _info: Any, _kind: GraphQLAbstractType) -> str:
        return names[type(value)] if type(value) in names else type_name_of(type(value))

    with_id = {kind.name for kind in NODES}
    for name, kind in schema.type_map.items():
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            kind.resolve_type = type_name
        elif isinstance(kind, GraphQLObjectType) and not name.startswith("__"):
            kind.is_type_of = None
            for field in kind.fields.values():
                _read_field(field)
            if name in with_id:
                read = _id_reader(name)
                kind.fields["id"].resolve = _reader(read)
                mark_leaf(kind.fields["id"], read)


def _read_field(field: GraphQLField) -> None:
    definition: StrawberryField | None = field.extensions.get(_BACKREF)
    if definition is None or not definition.is_basic_field:
        return
    if RELATION in definition.metadata:
        field.resolve = _relation_reader(*definition.metadata[RELATION])
    else:
        read = definition.metadata.get(READ) or attrgetter(definition.python_name)
        field.resolve = _reader(read)
        mark_leaf(field, read)


def _reader(read: Callable[[Any], object]) -> Callable[..., object]:
    return lambda row, _info: read(row)


def _id_reader(name: str) -> Callable[[Any], object]:
    return lambda row: global_id(name, row.id)


def _relation_reader(batch: Any, key: Callable[[Any], Any]) -> Callable[..., object]:
    return lambda row, info: info.context.loading(batch, key(row))
