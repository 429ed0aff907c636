"""What the balancer offered and decided."""

from uuid import UUID

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id
from domain.models.chargers import Charger


class Offer(Model):
    """What a charger may be drawing: an offer is a reservation until a lower one is confirmed.

    `confirmed_a` is the last offer known to be in force (None: unknown, so everything the charger could draw is reserved).
    `target_a` is stored before it is sent. `fallback_a` is what the charger falls back to when nobody reaches it, as far
    as it has acknowledged that. `phases` are grid lines, e.g. `L1L2L3`.
    `settled_epoch` is the connection over which `confirmed_a` was confirmed with nothing newer under way;
    None: something is, or nobody knows.
    `fence` is the lease's number: a writer with an older one is refused.
    `held_since`: since when the portal has offered nothing to a car that wants current or was paused (see HeldSpan).
    """

    charger: fields.OneToOneRelation[Charger] = fields.OneToOneField(
        "domain.Charger", related_name="offer", primary_key=True, on_delete=fields.OnDelete.CASCADE
    )
    charger_id: UUID
    installation_id = fields.UUIDField(db_index=True)
    fence = fields.BigIntField(default=0)
    session_id = fields.UUIDField(null=True)
    confirmed_a = fields.FloatField(null=True)
    confirmed_phases = fields.CharField(max_length=8, default="")
    confirmed_at = fields.DatetimeField(null=True)
    target_a = fields.FloatField(null=True)
    target_phases = fields.CharField(max_length=8, default="")
    targeted_at = fields.DatetimeField(null=True)
    acknowledged_at = fields.DatetimeField(null=True)
    fallback_a = fields.FloatField(null=True)
    settled_epoch = fields.BigIntField(null=True)
    waiting_since = fields.DatetimeField(null=True)
    charging_since = fields.DatetimeField(null=True)
    admitted_tier = fields.IntField(null=True)
    binding_limit = fields.CharField(max_length=24, null=True)
    limiting_circuit_id = fields.UUIDField(null=True)
    queue_position = fields.IntField(null=True)
    next_slot_at = fields.DatetimeField(null=True)
    reason = fields.CharField(max_length=300, null=True)
    decided_at = fields.DatetimeField(null=True)
    held_since = fields.DatetimeField(null=True)

    class Meta:
        table = "offers"


class HeldSpan(Model):
    """A time in which the portal offered nothing to a car that wanted current or was paused."""

    id = fields.BigIntField(primary_key=True, generated=True)
    charger: fields.ForeignKeyRelation[Charger] = fields.ForeignKeyField(
        "domain.Charger", related_name="held_spans", on_delete=fields.OnDelete.CASCADE
    )
    charger_id: UUID
    since = fields.DatetimeField()
    until = fields.DatetimeField()

    class Meta:
        table = "held_spans"
        indexes = (Index(fields=("charger_id", "until")),)


class BalancingDecision(Model):
    """A decision with its inputs: `instance` is ev-balance/1 JSON and replays to `allocation`."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation_id = fields.UUIDField()
    decided_at = fields.DatetimeField()
    triggered_by = fields.CharField(max_length=64)
    instance = fields.TextField()
    allocation = fields.TextField()

    class Meta:
        table = "balancing_decisions"
        indexes = (Index(fields=("installation_id", "decided_at", "id")),)
