"""Durable consequences: written with the fact that causes them, carried out afterwards, each at least once."""

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id


class OutboxMessage(Model):
    """Something to do outside the database. `kind` names the worker (mail, …), `payload` is its JSON.

    A claim is a lease: `claimed_until` in the past means that the worker died, and another may take it.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    kind = fields.CharField(max_length=32)
    payload = fields.TextField()
    created_at = fields.DatetimeField()
    due_at = fields.DatetimeField()
    attempts = fields.IntField(default=0)
    claimed_until = fields.DatetimeField(null=True)
    done_at = fields.DatetimeField(null=True)
    failed_at = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=500, null=True)

    class Meta:
        table = "outbox"
        indexes = (Index(fields=("done_at", "kind", "due_at")),)
