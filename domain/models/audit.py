"""Who changed what, and which requests were already done."""

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id


class AuditEntry(Model):
    """One change or command, `state_before` and `state_after` are JSON without secrets."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation_id = fields.UUIDField(null=True)
    at = fields.DatetimeField()
    actor_id = fields.UUIDField(null=True)
    actor = fields.CharField(max_length=200)
    action = fields.CharField(max_length=64)
    object_type = fields.CharField(max_length=32)
    object_id = fields.UUIDField(null=True, db_index=True)
    state_before = fields.TextField(null=True)
    state_after = fields.TextField(null=True)

    class Meta:
        table = "audit_entries"
        indexes = (Index(fields=("installation_id", "at")),)


class IdempotencyKey(Model):
    """The answer to a mutation that named a key, kept for 24 h, `input_hash` tells another input under the same key.

    `user_id` is the person or the service account. `result_json` is the answer itself where it is not a thing that can be
    read again.
    """

    id = fields.BigIntField(primary_key=True)
    user_id = fields.UUIDField()
    mutation = fields.CharField(max_length=64)
    request_key = fields.CharField(max_length=200)
    input_hash = fields.CharField(max_length=64)
    result_type = fields.CharField(max_length=32, null=True)
    result_id = fields.UUIDField(null=True)
    result_json = fields.TextField(null=True)
    created_at = fields.DatetimeField(db_index=True)

    class Meta:
        table = "idempotency_keys"
        unique_together = (("user_id", "mutation", "request_key"),)
