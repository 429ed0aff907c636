"""Grants, and how they are given and taken."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain.filters import Condition
from domain.membership.permissions import SubjectKey
from domain.roles import Role
from domain.views.permission_views import InvitationRow, PermissionRow, permissions_by_ids
from gql import ids
from gql.context import Context
from gql.resolvers import people
from gql.resolvers import permissions as resolvers
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.fields import resolved
from gql.schema.filters import IDFilter, StringFilter, any_of, every, exactly, id_terms, terms
from gql.schema.groups import UserGroup
from gql.schema.imports import IMPORTED, ImportInput, ImportResult
from gql.schema.mutations import Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.people import AcceptInvitationInput, User

if TYPE_CHECKING:
    from gql.schema.chargers import Charger
    from gql.schema.installations import Installation


@strawberry.type(
    description="A grant to an e-mail address stays an invitation until its person accepts, whether or not the address has an account."
)
class Invitation(Node):
    """Read from InvitationRow."""

    email: str | None = strawberry.field(description="Where the letter goes; null once it was accepted.")
    invited_at: datetime
    expires_at: datetime


PermissionSubject = Annotated[
    User | UserGroup | Invitation, strawberry.union("PermissionSubject", description="Who holds a permission.")
]
PermissionObject = Annotated[
    Annotated["Installation", strawberry.lazy("gql.schema.installations")]
    | Annotated["Charger", strawberry.lazy("gql.schema.chargers")],
    strawberry.union("PermissionObject", description="What a permission is on."),
]


async def _subject(root: Any, info: Info[Context, Any]) -> object:
    return await resolvers.subject_of(info.context, root)


async def _object(root: Any, info: Info[Context, Any]) -> object:
    return await resolvers.object_of(info.context, root)


@strawberry.type(
    description="A role that a person or group holds on an installation (and so on its chargers) or on one charger. Seen by its holder, "
    "and by owners of what it is on."
)
class Permission(Node):
    """Read from PermissionRow."""

    subject = resolved(_subject, PermissionSubject)
    object = resolved(_object, PermissionObject)
    role: Role
    valid_from: datetime
    valid_to: datetime | None = strawberry.field(description="Null = until it is revoked.")
    granted_by: str | None = strawberry.field(description="A name; null for those who could not grant it themselves.")
    revoked_by: str | None = strawberry.field(description="A name; null for those who could not revoke it themselves.")
    granted_at: datetime
    revoked_at: datetime | None = strawberry.field(description="Null while it was not taken back.")
    external_id: str | None = strawberry.field(
        description="The granter's own name for it; null for those who could not grant it."
    )


@strawberry.input(description="isValid: at this moment, neither revoked nor outside its time.")
class PermissionWhere:
    """Becomes a condition."""

    role: list[Role] | None = strawberry.UNSET
    external_id: StringFilter | None = strawberry.UNSET
    user_id: IDFilter | None = strawberry.UNSET
    is_valid: bool | None = strawberry.UNSET

    def to_domain(self) -> Condition:
        """The condition."""
        return every(
            any_of("role", self.role),
            terms("externalId", self.external_id),
            id_terms("userId", self.user_id, "User"),
            exactly("isValid", self.is_valid),
        )


@strawberry.input(
    description="One of these. A person or group that you can see, anyone by e-mail address: they are invited; for service accounts "
    "a person by their own id for them.",
    one_of=True,
)
class SubjectInput:
    """Becomes a SubjectKey."""

    user_id: strawberry.ID | None = strawberry.UNSET
    email: str | None = strawberry.UNSET
    group_id: strawberry.ID | None = strawberry.UNSET
    external_user_id: str | None = strawberry.UNSET

    def to_domain(self) -> SubjectKey:
        """The same as the domain knows it."""
        return SubjectKey(
            user_id=ids.optional_uuid_of(self.user_id or None, "User", at=("subject", "userId")),
            email=self.email or None,
            group_id=ids.optional_uuid_of(self.group_id or None, "UserGroup", at=("subject", "groupId")),
            external_user_id=self.external_user_id or None,
        )


@strawberry.input(
    description="objectId: an installation or a charger. Without validFrom it begins now, without validTo it has no end."
)
class GrantPermissionInput:
    """A role for someone somewhere."""

    subject: SubjectInput
    object_id: strawberry.ID
    role: Role
    valid_from: datetime | None = strawberry.UNSET
    valid_to: datetime | None = strawberry.UNSET
    external_id: str | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="One of the two; the externalId is that with which the viewer granted it.")
class RevokePermissionInput:
    """Which grant ends."""

    permission_id: strawberry.ID | None = strawberry.UNSET
    external_id: str | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The permission as it is now.")
class PermissionSuccess:
    """Read anew."""

    permission: Permission


PermissionResult = Annotated[
    PermissionSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("PermissionResult"),
]
_PERMISSION = Thing(PermissionSuccess, "permission", "Permission")


@strawberry.type
class PermissionMutations:
    """Giving and taking roles."""

    grant_permission = mutation(
        resolvers.grant_permission,
        GrantPermissionInput,
        PermissionResult,
        _PERMISSION,
        description="Gives a role. The same subject, object and role again: validity and externalId are replaced. OWNER of a charger "
        "gives USER and OWNER on it; OWNER of an installation USER, OWNER and SERVICE, never SERVICE to themselves; "
        "ADMINISTRATOR all. SERVICE names the first owner. Programs with MANAGE_PERMISSIONS give USER anywhere there, and OWNER of "
        "single chargers. An externalId names one grant of its giver.",
    )
    accept_invitation = mutation(
        people.accept_invitation,
        AcceptInvitationInput,
        PermissionResult,
        _PERMISSION,
        description="Makes the permission that an e-mail address was given the viewer's, by the code of the letter.",
    )
    revoke_permission = mutation(
        resolvers.revoke_permission,
        RevokePermissionInput,
        PermissionResult,
        _PERMISSION,
        description="Takes a role back; whoever may give it may. The last owner of an installation stays (LAST_OWNER). Who takes their "
        "own last right there no longer sees it: NotFoundError, and it is done.",
    )
    import_permissions = mutation(
        resolvers.import_permissions,
        ImportInput,
        ImportResult,
        IMPORTED,
        description="Grants and revokes by a table with the columns email, externalUserId or group (one of them in a line), charger "
        "(its name, identity or id; empty = the whole installation), role, validFrom, validTo, externalId and remove (yes: the "
        "permission ends). A date alone is a whole local day: validTo 2026-12-31 holds to the end of that day. Each line follows the "
        "rules of grantPermission and revokePermission. All or nothing: look at a dry run first. For OWNER of the installation, "
        "ADMINISTRATOR, and programs with MANAGE_PERMISSIONS.",
    )


NODES = (NodeKind(Permission, PermissionRow, permissions_by_ids), NodeKind(Invitation, InvitationRow, None))
