"""Programs of other companies: what they may do, where, by which tokens, and whom they know by ids of their own."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from domain.ids import new_id
from domain.models.installations import Installation
from domain.models.people import User


class ServiceAccount(Model):
    """A program. `scopes` are names of Scope, joined by commas."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    name = fields.CharField(max_length=200)
    scopes = fields.CharField(max_length=255)
    created_by_id = fields.UUIDField(null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "service_accounts"


class ServiceAccountInstallation(Model):
    """An installation where a service account has its scopes."""

    id = fields.BigIntField(primary_key=True)
    account: fields.ForeignKeyRelation[ServiceAccount] = fields.ForeignKeyField(
        "domain.ServiceAccount", related_name="places", on_delete=fields.OnDelete.CASCADE
    )
    account_id: UUID
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="service_places", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    installation_id: UUID

    class Meta:
        table = "service_account_installations"
        unique_together = (("account_id", "installation_id"),)


class ApiToken(Model):
    """A secret of a service account, of which only the digest is kept, and `prefix` to tell it by.

    `scopes` None: all of the account's. Otherwise those that both have.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    account: fields.ForeignKeyRelation[ServiceAccount] = fields.ForeignKeyField(
        "domain.ServiceAccount", related_name="tokens", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    account_id: UUID
    name = fields.CharField(max_length=200)
    prefix = fields.CharField(max_length=16, unique=True)
    digest = fields.CharField(max_length=64, unique=True)
    scopes = fields.CharField(max_length=255, null=True)
    created_by_id = fields.UUIDField(null=True)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField(null=True)
    last_used_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)
    revoked_by_id = fields.UUIDField(null=True)

    class Meta:
        table = "api_tokens"


class ExternalUser(Model):
    """A person as one service account knows them. `email` is what it told us, whoever has an account with that address."""

    id = fields.BigIntField(primary_key=True)
    account: fields.ForeignKeyRelation[ServiceAccount] = fields.ForeignKeyField(
        "domain.ServiceAccount", related_name="external_users", on_delete=fields.OnDelete.CASCADE
    )
    account_id: UUID
    external_id = fields.CharField(max_length=200)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "domain.User", related_name="external_names", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    user_id: UUID
    email = fields.CharField(max_length=320, null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "external_users"
        unique_together = (("account_id", "external_id"),)
