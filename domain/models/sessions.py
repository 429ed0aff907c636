"""Charge sessions, their energy by interval, and the meter samples behind them."""

from uuid import UUID

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id
from domain.models.chargers import Charger
from domain.models.installations import Installation
from domain.roles import IntervalQuality, SessionFlag, SessionState, StopReason


class ChargeSession(Model):
    """One physical charge. Names and zone are snapshots of its time, rights follow its own installation.

    `start_key` is the natural key of its start message, so that a retry finds the same session. `flags` is a SessionFlag
    mask. `energy_wh` is the total so far, None when unknown, `last_event_at` is the charger's time of its newest event.
    `device_started_at` is the start as the charger's own clock had it, right or wrong. `inferred_end_due_at` is set while a
    signal says that the charge is over and its final record is awaited until then.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="sessions", on_delete=fields.OnDelete.RESTRICT
    )
    installation_id: UUID
    circuit_id = fields.UUIDField(null=True)
    charger: fields.ForeignKeyRelation[Charger] = fields.ForeignKeyField(
        "domain.Charger", related_name="sessions", on_delete=fields.OnDelete.RESTRICT
    )
    charger_id: UUID
    user_id = fields.UUIDField(null=True)
    card_id = fields.UUIDField(null=True)
    installation_name = fields.CharField(max_length=200)
    circuit_name = fields.CharField(max_length=200, null=True)
    charger_name = fields.CharField(max_length=200)
    user_name = fields.CharField(max_length=200, null=True)
    card_name = fields.CharField(max_length=100, null=True)
    time_zone = fields.CharField(max_length=64)
    id_token = fields.CharField(max_length=64, null=True)
    station_id = fields.UUIDField(null=True)
    transaction_id = fields.CharField(max_length=64, null=True)
    start_key = fields.CharField(max_length=200, null=True)
    stop_key = fields.CharField(max_length=200, null=True)
    import_key = fields.CharField(max_length=200, null=True, unique=True)
    external_id = fields.CharField(max_length=200, null=True)
    state = fields.CharEnumField(SessionState, max_length=8, default=SessionState.ACTIVE)
    flags = fields.IntField(default=0)
    authorized_at = fields.DatetimeField(null=True)
    started_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    registered_at = fields.DatetimeField(null=True)
    last_event_at = fields.DatetimeField(null=True)
    device_started_at = fields.DatetimeField(null=True)
    inferred_end_due_at = fields.DatetimeField(null=True)
    meter_start_wh = fields.BigIntField(null=True)
    meter_last_wh = fields.BigIntField(null=True)
    meter_stop_wh = fields.BigIntField(null=True)
    energy_wh = fields.BigIntField(null=True)
    connected_s = fields.IntField(default=0)
    charging_s = fields.IntField(default=0)
    stop_reason = fields.CharEnumField(StopReason, max_length=24, null=True)
    is_paused = fields.BooleanField(default=False)
    priority = fields.IntField(default=0)
    energy_target_wh = fields.BigIntField(null=True)
    departure_at = fields.DatetimeField(null=True)
    replaced_by_id = fields.UUIDField(null=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "charge_sessions"
        unique_together = (("station_id", "transaction_id"), ("station_id", "start_key"))
        indexes = (
            Index(fields=("installation_id", "started_at", "id")),
            Index(fields=("installation_id", "registered_at")),
            Index(fields=("charger_id", "started_at", "id")),
            Index(fields=("user_id", "started_at", "id")),
            Index(fields=("charger_id", "registered_at")),
            Index(fields=("charger_id", "state")),
            Index(fields=("inferred_end_due_at",)),
            Index(fields=("replaced_by_id",)),
            Index(fields=("id_token", "state")),
        )

    @property
    def flag_set(self) -> SessionFlag:
        """The flags as a set."""
        return SessionFlag(self.flags)


class EnergyInterval(Model):
    """Part of a session's energy, the parts of a session add up to its energy exactly."""

    id = fields.BigIntField(primary_key=True)
    session_id = fields.UUIDField()
    installation_id = fields.UUIDField()
    start_at = fields.DatetimeField()
    end_at = fields.DatetimeField()
    energy_wh = fields.BigIntField()
    quality = fields.CharEnumField(IntervalQuality, max_length=12)

    class Meta:
        table = "energy_intervals"
        unique_together = (("session_id", "start_at"),)
        indexes = (Index(fields=("installation_id", "start_at")),)


class Sample(Model):
    """One meter reading, the natural key (charger, time, context) makes a repeated delivery harmless."""

    id = fields.BigIntField(primary_key=True)
    installation_id = fields.UUIDField()
    charger_id = fields.UUIDField()
    session_id = fields.UUIDField(null=True, db_index=True)
    at = fields.DatetimeField()
    received_at = fields.DatetimeField()
    context = fields.CharField(max_length=24)
    register_wh = fields.BigIntField(null=True)
    power_w = fields.FloatField(null=True)
    current_l1 = fields.FloatField(null=True)
    current_l2 = fields.FloatField(null=True)
    current_l3 = fields.FloatField(null=True)

    class Meta:
        table = "samples"
        unique_together = (("charger_id", "at", "context"),)
