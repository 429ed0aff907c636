"""Groups of people at an installation, so that one grant serves many."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from domain.ids import new_id
from domain.models.installations import Installation
from domain.models.people import User


class UserGroup(Model):
    """A named group, its grants are on its own installation or on chargers there."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="user_groups", on_delete=fields.OnDelete.RESTRICT
    )
    installation_id: UUID
    name = fields.CharField(max_length=200)
    created_at = fields.DatetimeField()

    class Meta:
        table = "user_groups"
        unique_together = (("installation_id", "name"),)


class GroupMember(Model):
    """A person is in a group."""

    id = fields.BigIntField(primary_key=True)
    group: fields.ForeignKeyRelation[UserGroup] = fields.ForeignKeyField(
        "domain.UserGroup", related_name="members", on_delete=fields.OnDelete.CASCADE
    )
    group_id: UUID
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "domain.User", related_name="memberships", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    user_id: UUID
    added_by_id = fields.UUIDField(null=True)
    added_at = fields.DatetimeField()

    class Meta:
        table = "group_members"
        unique_together = (("group_id", "user_id"),)
