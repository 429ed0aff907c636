"""The site and its circuits."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from domain.ids import new_id
from domain.roles import AvailableCurrentMode, InstallationCategory, NetworkType
from domain.units import PhaseAmps


class Installation(Model):
    """A site. Its main breaker is its root circuit's, `available_*` None means the main breaker."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    name = fields.CharField(max_length=200)
    street = fields.CharField(max_length=200, null=True)
    postal_code = fields.CharField(max_length=20, null=True)
    city = fields.CharField(max_length=100, null=True)
    country_code = fields.CharField(max_length=2)
    time_zone = fields.CharField(max_length=64)
    currency = fields.CharField(max_length=3)
    category = fields.CharEnumField(InstallationCategory, max_length=16)
    network_type = fields.CharEnumField(NetworkType, max_length=16)
    available_l1 = fields.FloatField(null=True)
    available_l2 = fields.FloatField(null=True)
    available_l3 = fields.FloatField(null=True)
    available_mode = fields.CharEnumField(AvailableCurrentMode, max_length=16, default=AvailableCurrentMode.MANUAL)
    available_expires_at = fields.DatetimeField(null=True)
    resumed_mode = fields.CharField(max_length=16, null=True)
    """What decides again when the limit that a person set for a time has ended."""
    current_schedule: str | None = fields.TextField(null=True)
    """Entries as JSON (domain.current.current_schedule)."""
    fallback_l1 = fields.FloatField(null=True)
    fallback_l2 = fields.FloatField(null=True)
    fallback_l3 = fields.FloatField(null=True)
    three_to_one_switch_a = fields.FloatField(null=True)
    authentication_required = fields.BooleanField(default=True)
    allows_concurrent = fields.BooleanField(default=False)
    is_active = fields.BooleanField(default=True)
    import_key = fields.CharField(max_length=200, null=True, unique=True)
    created_at = fields.DatetimeField()

    class Meta:
        table = "installations"


class Circuit(Model):
    """A fuse and what hangs below it, `parent` None is the main breaker. Currents in A per grid line."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="circuits", on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    installation_id: UUID
    parent: fields.ForeignKeyNullableRelation["Circuit"] = fields.ForeignKeyField(
        "domain.Circuit", related_name="children", null=True, on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    parent_id: UUID | None
    name = fields.CharField(max_length=200)
    breaker_l1 = fields.FloatField()
    breaker_l2 = fields.FloatField()
    breaker_l3 = fields.FloatField()
    safe_l1 = fields.FloatField(default=0.0)
    safe_l2 = fields.FloatField(default=0.0)
    safe_l3 = fields.FloatField(default=0.0)
    assumed_l1 = fields.FloatField(default=0.0)
    assumed_l2 = fields.FloatField(default=0.0)
    assumed_l3 = fields.FloatField(default=0.0)
    meter_l1 = fields.FloatField(null=True)
    meter_l2 = fields.FloatField(null=True)
    meter_l3 = fields.FloatField(null=True)
    metered_at = fields.DatetimeField(null=True)
    meter_history: str | None = fields.TextField(null=True)
    """What the balancer knows of the meter, for the process that takes over."""
    created_at = fields.DatetimeField()
    removed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "circuits"

    @property
    def breaker(self) -> PhaseAmps:
        """The fuse's rating per line."""
        return PhaseAmps(self.breaker_l1, self.breaker_l2, self.breaker_l3)

    @property
    def safe_current(self) -> PhaseAmps:
        """What the chargers below may draw when a meter's readings are missing."""
        return PhaseAmps(self.safe_l1, self.safe_l2, self.safe_l3)

    @property
    def assumed_other_load(self) -> PhaseAmps:
        """What else is assumed to flow where there is no meter."""
        return PhaseAmps(self.assumed_l1, self.assumed_l2, self.assumed_l3)
