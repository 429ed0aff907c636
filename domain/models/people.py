"""Accounts of people, and where they are signed in."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from domain.ids import new_id


class User(Model):
    """A person. `email` is stored in lower case, None for people known from imported history or an external system only."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    name = fields.CharField(max_length=200)
    email = fields.CharField(max_length=320, null=True, unique=True)
    password_hash = fields.CharField(max_length=255, null=True)
    is_administrator = fields.BooleanField(default=False)
    is_active = fields.BooleanField(default=True)
    import_key = fields.CharField(max_length=200, null=True, unique=True)
    created_at = fields.DatetimeField()
    erased_at = fields.DatetimeField(null=True)

    class Meta:
        table = "users"


class SignIn(Model):
    """One sign-in of a person: the family of its rotating refresh tokens, of which only the newest hash is valid."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "domain.User", related_name="sign_ins", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    user_id: UUID
    refresh_hash = fields.CharField(max_length=64, unique=True)
    created_at = fields.DatetimeField()
    refreshed_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "sign_ins"
