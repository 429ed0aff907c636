"""What was done at a site, and what a person may ask about themselves."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

from domain.filters import Condition
from domain.views.audit_views import AuditRow, audit_entries_by_ids
from gql.ids import global_id
from gql.resolvers import audit as resolvers
from gql.schema.errors import ConflictError, NotAllowedError, ValidationError
from gql.schema.fields import derived
from gql.schema.filters import DateTimeFilter, IDFilter, StringFilter, any_id_terms, every, terms
from gql.schema.mutations import DONE, Plain, made, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.people import DoneResult


@strawberry.type(
    description="One change or command, with who did it. `before` and `after` are JSON of the fields that differ, without secrets. For "
    "OWNER of the installation and ADMINISTRATOR."
)
class AuditEntry(Node):
    """Read from AuditRow."""

    at: datetime
    actor: str = strawberry.field(description="The name at that time; `portal` for what followed by itself.")
    action: str
    object_id: strawberry.ID | None = derived(
        lambda row: None if row.object_id is None else global_id(row.object_type, row.object_id),
        description="What was changed, also where it is gone by now; null where there is no one thing.",
    )
    before: str | None = strawberry.field(description="Null where there was nothing, or nothing differs.")
    after: str | None = strawberry.field(description="Null where it is gone, or nothing differs.")


@strawberry.input(description="Several fields are AND.")
class AuditWhere:
    """Becomes a condition."""

    object_id: IDFilter | None = strawberry.UNSET
    action: StringFilter | None = strawberry.UNSET
    at: DateTimeFilter | None = strawberry.UNSET

    def to_domain(self) -> Condition:
        """The condition."""
        return every(any_id_terms("objectId", self.object_id), terms("action", self.action), terms("at", self.at))


@strawberry.input(
    description="Null userId = the viewer, with their password or, where they have none, within ten minutes of a sign-in; "
    "another: ADMINISTRATOR. Charges stay with energy and times under a "
    "pseudonym; name, addresses and cards go for good."
)
class ErasePersonInput:
    """Who is to be forgotten."""

    user_id: strawberry.ID | None = strawberry.UNSET
    password: str | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="Nothing is needed: it is the viewer's own.")
class ExportMyDataInput:
    """Everything that is kept about the viewer."""

    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(
    description="The viewer's account, cards, permissions, charges, attempts, commands, changes and files as JSON: instants in UTC, "
    "energy in Wh."
)
class ExportMyDataSuccess:
    """Made of a text; null when the call is repeated with its key."""

    json: str | None = strawberry.field(description="Null when the call is repeated with its key.")


ExportMyDataResult = Annotated[
    ExportMyDataSuccess | ValidationError | NotAllowedError | ConflictError, strawberry.union("ExportMyDataResult")
]


def _exported(_given: Any, returned: str | None) -> ExportMyDataSuccess:
    return made(ExportMyDataSuccess, json=returned)


@strawberry.type
class PrivacyMutations:
    """A person's own data."""

    erase_person = mutation(
        resolvers.erase_person,
        ErasePersonInput,
        DoneResult,
        DONE,
        description="Forgets a person for good. LAST_OWNER: they are the only owner of an installation.",
    )
    export_my_data = mutation(
        resolvers.export_my_data,
        ExportMyDataInput,
        ExportMyDataResult,
        Plain("OwnData", _exported),
        description="Gives the viewer what is kept about them.",
    )


NODES = (NodeKind(AuditEntry, AuditRow, audit_entries_by_ids),)
