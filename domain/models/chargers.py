"""What a car plugs into, the station that speaks for it, and its live status."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from domain.ids import new_id
from domain.models.installations import Circuit, Installation
from domain.observations import ConnectorStatus
from domain.roles import OperatingMode, PhaseRotation


class Station(Model):
    """One OCPP identity and its socket, a two-socket station is two chargers of one station.

    Passwords are random keys, stored as keyed hashes, `next_password_hash` becomes the only one at the first login with it.
    `epoch` rises with every connection: writes and sends of an older epoch are refused. `profiles_ours_since`: from then on it
    holds no charging profile of another portal, None while it may.
    `configured_as` is the digest of the settings that it has answered, None while nobody knows what is in force.
    `clock_offset_s` is what was last found wrong with its clock (ours - its own), None where nothing was.
    `security_profile` is that of the last connection, `minimum_security_profile` the least that the next one may have.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    identity = fields.CharField(max_length=48, unique=True)
    password_hash = fields.CharField(max_length=64)
    next_password_hash = fields.CharField(max_length=64, null=True)
    vendor = fields.CharField(max_length=100, null=True)
    model = fields.CharField(max_length=100, null=True)
    serial_number = fields.CharField(max_length=100, null=True)
    firmware_version = fields.CharField(max_length=100, null=True)
    protocol = fields.CharField(max_length=16, null=True)
    epoch = fields.IntField(default=0)
    process = fields.CharField(max_length=64, null=True)
    is_connected = fields.BooleanField(default=False)
    connected_at = fields.DatetimeField(null=True)
    disconnected_at = fields.DatetimeField(null=True)
    booted_at = fields.DatetimeField(null=True)
    restarts = fields.IntField(null=True)
    restarts_since = fields.DatetimeField(null=True)
    last_seen_at = fields.DatetimeField(null=True)
    last_transaction_id = fields.IntField(default=0)
    profiles_ours_since = fields.DatetimeField(null=True)
    configured_as = fields.CharField(max_length=64, null=True)
    clock_offset_s = fields.FloatField(null=True)
    security_profile = fields.IntField(null=True)
    minimum_security_profile = fields.IntField(default=1, db_default=1)
    created_at = fields.DatetimeField()

    class Meta:
        table = "stations"


class UnknownCharger(Model):
    """A charger that knocked and that nobody has added, one row an identity, told by itself and believed in nothing.

    `password_hash` is that of the first password that it offered where it was held, `is_contested` says that there was another one.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    identity = fields.CharField(max_length=48, unique=True)
    first_seen_at = fields.DatetimeField()
    last_seen_at = fields.DatetimeField(db_index=True)
    attempts = fields.IntField(default=0)
    address = fields.CharField(max_length=45)
    protocol = fields.CharField(max_length=16, null=True)
    vendor = fields.CharField(max_length=100, null=True)
    model = fields.CharField(max_length=100, null=True)
    serial_number = fields.CharField(max_length=100, null=True)
    firmware_version = fields.CharField(max_length=100, null=True)
    password_hash = fields.CharField(max_length=64, null=True)
    is_contested = fields.BooleanField(default=False)

    class Meta:
        table = "unknown_chargers"


class ChargerKind(Model):
    """What chargers of one vendor, model and firmware have taught about themselves, `facts` as JSON."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    vendor = fields.CharField(max_length=100)
    model = fields.CharField(max_length=100)
    firmware = fields.CharField(max_length=100)
    facts = fields.TextField()
    learnt_at = fields.DatetimeField()

    class Meta:
        table = "charger_kinds"
        unique_together = (("vendor", "model", "firmware"),)


class Charger(Model):
    """One EVSE or connector. `offline_current_a` None: the balancer plans it, `authentication_required` None: as the site says."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="chargers", on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    installation_id: UUID
    circuit: fields.ForeignKeyRelation[Circuit] = fields.ForeignKeyField(
        "domain.Circuit", related_name="chargers", on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    circuit_id: UUID
    station: fields.ForeignKeyNullableRelation[Station] = fields.ForeignKeyField(
        "domain.Station", related_name="chargers", null=True, on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    station_id: UUID | None
    evse = fields.IntField(default=1)
    name = fields.CharField(max_length=200)
    phase_rotation = fields.CharEnumField(PhaseRotation, max_length=4, default=PhaseRotation.RST)
    min_current_a = fields.FloatField(default=6.0)
    max_current_a = fields.FloatField(default=32.0)
    offline_current_a = fields.FloatField(null=True)
    can_switch_phases = fields.BooleanField(default=False)
    authentication_required = fields.BooleanField(null=True)
    is_enabled = fields.BooleanField(default=True)
    import_key = fields.CharField(max_length=200, null=True, unique=True)
    created_at = fields.DatetimeField()
    removed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "chargers"
        unique_together = (("station_id", "evse"),)


class ChargerStatus(Model):
    """The newest known state of a charger, one row a charger, made with it. Currents are per grid line.

    `version` rises by one with every change that people can see, `status_at` is the charger's own time of the last status,
    `status_received_at` ours.
    """

    charger: fields.OneToOneRelation[Charger] = fields.OneToOneField(
        "domain.Charger", related_name="live", primary_key=True, on_delete=fields.OnDelete.CASCADE
    )
    charger_id: UUID
    installation_id = fields.UUIDField(db_index=True)
    version = fields.BigIntField(default=1)
    mode = fields.CharEnumField(OperatingMode, max_length=24, default=OperatingMode.UNKNOWN)
    is_online = fields.BooleanField(default=False)
    connector_status = fields.CharEnumField(ConnectorStatus, max_length=16, default=ConnectorStatus.UNKNOWN)
    error_code = fields.CharField(max_length=50, null=True)
    vendor_error_code = fields.CharField(max_length=50, null=True)
    status_at = fields.DatetimeField(null=True)
    status_received_at = fields.DatetimeField(null=True)
    session_id = fields.UUIDField(null=True)
    session_user_id = fields.UUIDField(null=True)
    session_energy_wh = fields.BigIntField(null=True)
    register_wh = fields.BigIntField(null=True)
    power_w = fields.FloatField(null=True)
    current_l1 = fields.FloatField(null=True)
    current_l2 = fields.FloatField(null=True)
    current_l3 = fields.FloatField(null=True)
    measured_at = fields.DatetimeField(null=True)
    allocated_a = fields.FloatField(null=True)
    allocated_phases = fields.CharField(max_length=8, default="")
    observed_at = fields.DatetimeField(null=True)
    received_at = fields.DatetimeField(null=True)
    idle_since = fields.DatetimeField(null=True)

    class Meta:
        table = "charger_statuses"
