"""Accounts of people, how they prove who they are, and where they are signed in."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from domain.ids import new_id
from domain.roles import MailedSecretKind


class User(Model):
    """A person. `email` is stored in lower case, None for people known from imported history or an external system only.

    `totp_secret` is sealed, and asked for once `totp_confirmed_at` is set. `totp_last_step` is the newest code's step, so that
    no code is taken twice.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    name = fields.CharField(max_length=200)
    email = fields.CharField(max_length=320, null=True, unique=True)
    password_hash = fields.CharField(max_length=255, null=True)
    is_administrator = fields.BooleanField(default=False)
    is_active = fields.BooleanField(default=True)
    email_verified_at = fields.DatetimeField(null=True)
    totp_secret = fields.CharField(max_length=255, null=True)
    totp_confirmed_at = fields.DatetimeField(null=True)
    totp_last_step = fields.BigIntField(null=True)
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


class RecoveryCode(Model):
    """Stands in for a one-time code when the telephone is lost, good once: then its row goes. Only its keyed digest is kept."""

    id = fields.BigIntField(primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "domain.User", related_name="recovery_codes", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    user_id: UUID
    digest = fields.CharField(max_length=64, unique=True)

    class Meta:
        table = "recovery_codes"


class OpenIdLink(Model):
    """Who a person is at an outside OpenID Connect provider."""

    id = fields.BigIntField(primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "domain.User", related_name="open_id_links", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    user_id: UUID
    issuer = fields.CharField(max_length=300)
    subject = fields.CharField(max_length=255)
    linked_at = fields.DatetimeField()

    class Meta:
        table = "open_id_links"
        unique_together = (("issuer", "subject"),)


class MailedSecret(Model):
    """A secret that was sent by mail to prove that its reader has the address, good once. Only its digest is kept."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    kind = fields.CharEnumField(MailedSecretKind, max_length=16)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "domain.User", related_name="mailed_secrets", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    user_id: UUID
    email = fields.CharField(max_length=320)
    digest = fields.CharField(max_length=64, unique=True)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "mailed_secrets"
