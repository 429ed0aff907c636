"""What is wrong, since when, and who is mailed about it."""

from uuid import UUID

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id
from domain.models.installations import Installation
from domain.models.people import User
from domain.roles import AlertDelivery, AlertKind, AlertState, Language, Severity


class Alert(Model):
    """One open alert per (kind, object): `open_key` is that pair while it is not resolved, None afterwards.

    The object is the charger, else the circuit, else the installation. `folded_into_id`: the alert of the whole installation of which
    this one is a part. `reopenings`: how often it came back within minutes, `reopened_at` when it last did. `info`: what more is known,
    `began_at`: since when it is so, where that is not since it opened.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="alerts", on_delete=fields.OnDelete.RESTRICT
    )
    installation_id: UUID
    charger_id = fields.UUIDField(null=True, db_index=True)
    circuit_id = fields.UUIDField(null=True)
    folded_into_id = fields.UUIDField(null=True)
    kind = fields.CharEnumField(AlertKind, max_length=32)
    severity = fields.CharEnumField(Severity, max_length=8)
    state = fields.CharEnumField(AlertState, max_length=12, default=AlertState.OPEN)
    open_key = fields.CharField(max_length=100, null=True, unique=True)
    message = fields.CharField(max_length=500)
    vendor_code = fields.CharField(max_length=50, null=True)
    opened_at = fields.DatetimeField()
    acknowledged_at = fields.DatetimeField(null=True)
    acknowledged_by_id = fields.UUIDField(null=True)
    note = fields.CharField(max_length=500, null=True)
    resolved_at = fields.DatetimeField(null=True)
    occurrences = fields.IntField(default=1)
    reopenings = fields.IntField(null=True)
    reopened_at = fields.DatetimeField(null=True)
    info = fields.CharField(max_length=300, null=True)
    began_at = fields.DatetimeField(null=True)

    class Meta:
        table = "alerts"
        indexes = (Index(fields=("installation_id", "opened_at", "id")),)


class AlertSubscription(Model):
    """A person's wish for mails about alerts at an installation.

    `kinds` and `charger_ids` are joined by commas, empty for all. `email` None: the account's address. No mail goes out before
    `verified_at`, nor after `ended_at`. `default_key` is (person, installation) where it was made for an owner who had none to their own
    address: as it stays when it has ended, it is not made again.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "domain.User", related_name="alert_subscriptions", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    user_id: UUID
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="alert_subscriptions", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    installation_id: UUID
    charger_ids = fields.TextField(default="")
    kinds = fields.TextField(default="")
    minimum_severity = fields.CharEnumField(Severity, max_length=8, default=Severity.WARNING)
    delivery = fields.CharEnumField(AlertDelivery, max_length=16, default=AlertDelivery.IMMEDIATE)
    digest_hour = fields.IntField(default=7)
    quiet_from = fields.CharField(max_length=5, null=True)
    quiet_to = fields.CharField(max_length=5, null=True)
    sends_resolved = fields.BooleanField(default=True)
    email = fields.CharField(max_length=320, null=True)
    language = fields.CharEnumField(Language, max_length=2, default=Language.EN)
    default_key = fields.CharField(max_length=80, null=True, unique=True)
    created_at = fields.DatetimeField()
    verified_at = fields.DatetimeField(null=True)
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "alert_subscriptions"


class AlertNotice(Model):
    """Something about an alert that a subscription is to be mailed, once: `key` is (subscription, alert, occasion).

    `mailed_at`: when the mail that says it was written, `has_told_end` whether that said that it is over, too.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    subscription: fields.ForeignKeyRelation[AlertSubscription] = fields.ForeignKeyField(
        "domain.AlertSubscription", related_name="notices", on_delete=fields.OnDelete.CASCADE, db_index=True
    )
    subscription_id: UUID
    alert_id = fields.UUIDField(db_index=True)
    occasion = fields.CharField(max_length=10)
    key = fields.CharField(max_length=80, null=True, unique=True)
    created_at = fields.DatetimeField()
    due_at = fields.DatetimeField()
    mailed_at = fields.DatetimeField(null=True)
    has_told_end = fields.BooleanField(default=False)

    class Meta:
        table = "alert_notices"
        indexes = (Index(fields=("mailed_at", "due_at")),)
