"""Groups of people at an installation."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.views.group_views import GroupRow, groups_by_ids
from domain.views.installation_views import installations_by_ids
from gql.resolvers import groups as resolvers
from gql.schema.commands import PersonInput
from gql.schema.connections import Connection
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.fields import connection, related
from gql.schema.mutations import Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.people import User

if TYPE_CHECKING:
    from gql.schema.installations import Installation


@strawberry.type(
    description="People who hold roles together, at the group's installation or on chargers there. Seen by who decides about "
    "permissions there, and by its members."
)
class UserGroup(Node):
    """Read from GroupRow."""

    name: str
    installation: Annotated["Installation", strawberry.lazy("gql.schema.installations")] | None = related(
        installations_by_ids,
        lambda row: row.installation_id,
        description="Null when it is hidden.",
    )
    members = connection(resolvers.members_of, Connection[User], description="By name. Empty for its mere members.")


@strawberry.input(description="The name is unique at the installation, compared without case.")
class CreateUserGroupInput:
    """A group without anyone in it."""

    installation_id: strawberry.ID
    name: str
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="A group, and a person whom the viewer may know of.")
class GroupMemberInput:
    """Who is to be in it, or out."""

    group_id: strawberry.ID
    person: PersonInput
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The group as it is now.")
class UserGroupSuccess:
    """Read anew."""

    user_group: UserGroup


UserGroupResult = Annotated[
    UserGroupSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("UserGroupResult"),
]
_GROUP = Thing(UserGroupSuccess, "user_group", "UserGroup")
_MANAGERS = "For OWNER of the group's installation, ADMINISTRATOR, and programs with MANAGE_PERMISSIONS"


@strawberry.type
class GroupMutations:
    """Groups made, filled and emptied."""

    create_user_group = mutation(
        resolvers.create_user_group,
        CreateUserGroupInput,
        UserGroupResult,
        _GROUP,
        description="Makes a group. An installation has at most 100. For OWNER, ADMINISTRATOR, and programs with MANAGE_PERMISSIONS.",
    )
    add_group_member = mutation(
        resolvers.add_group_member,
        GroupMemberInput,
        UserGroupResult,
        _GROUP,
        description=f"Puts a person into a group: from now on they hold what it holds. {_MANAGERS}, who may give all that it holds; "
        "nobody puts themselves into one that holds SERVICE.",
    )
    remove_group_member = mutation(
        resolvers.remove_group_member,
        GroupMemberInput,
        UserGroupResult,
        _GROUP,
        description=f"Takes a person out of a group and what they held through it. {_MANAGERS}, who may take all that it holds. The last "
        "owner of an installation stays (LAST_OWNER).",
    )


NODES = (NodeKind(UserGroup, GroupRow, groups_by_ids),)
