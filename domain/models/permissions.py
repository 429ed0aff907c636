"""Grants: who may do what where, from when, until when, and by whose word."""

from uuid import UUID

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id
from domain.models.chargers import Charger
from domain.models.groups import UserGroup
from domain.models.installations import Installation
from domain.models.people import User
from domain.roles import Role


class Permission(Model):
    """USER, OWNER or SERVICE for a person, a group or an invited address (`email`) on an installation or one charger in it.

    `granted_by_id` is a person or a service account, `external_id` that granter's own name for it. `invitation_digest` is of
    the secret that was mailed to `email`.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    user: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "domain.User", related_name="permissions", null=True, on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    user_id: UUID | None
    group: fields.ForeignKeyNullableRelation[UserGroup] = fields.ForeignKeyField(
        "domain.UserGroup", related_name="permissions", null=True, on_delete=fields.OnDelete.RESTRICT
    )
    group_id: UUID | None
    email = fields.CharField(max_length=320, null=True, db_index=True)
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="permissions", on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    installation_id: UUID
    charger: fields.ForeignKeyNullableRelation[Charger] = fields.ForeignKeyField(
        "domain.Charger", related_name="permissions", null=True, on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    charger_id: UUID | None
    role = fields.CharEnumField(Role, max_length=16)
    valid_from = fields.DatetimeField()
    valid_to = fields.DatetimeField(null=True)
    granted_by_id = fields.UUIDField(null=True)
    granted_at = fields.DatetimeField()
    revoked_by_id = fields.UUIDField(null=True)
    revoked_at = fields.DatetimeField(null=True)
    invitation_expires_at = fields.DatetimeField(null=True)
    invitation_digest = fields.CharField(max_length=64, null=True, unique=True)
    external_id = fields.CharField(max_length=200, null=True)

    class Meta:
        table = "permissions"
        indexes = (Index(fields=("group_id",)),)
