"""Reports that were locked: what is in them, and what of every session was counted so far."""

from uuid import UUID

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id
from domain.models.installations import Installation
from domain.roles import DeliveryState, ExportFormat, ReportBasis, ReportKind, UsageDimension


class LockedReport(Model):
    """A report that never changes. `document` is its canonical text, of which `sha256` is the digest. It names no person.

    `revision` numbers those of one installation and basis. `period_start_at` and `period_end_at` are the period's instants.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="locked_reports", on_delete=fields.OnDelete.RESTRICT
    )
    installation_id: UUID
    basis = fields.CharEnumField(ReportBasis, max_length=12)
    revision = fields.IntField()
    from_date = fields.DateField()
    to_date = fields.DateField()
    time_zone = fields.CharField(max_length=64)
    period_start_at = fields.DatetimeField()
    period_end_at = fields.DatetimeField()
    locked_at = fields.DatetimeField()
    locked_by_id = fields.UUIDField()
    document = fields.TextField()
    sha256 = fields.CharField(max_length=64)

    class Meta:
        table = "locked_reports"
        unique_together = (("installation_id", "basis", "revision"),)


class LockedName(Model):
    """How a person or a card is called in a locked report, beside its document, as a name must be forgotten when its person is.

    `user_id` is the person whose name or card it is.
    """

    id = fields.BigIntField(primary_key=True)
    report_id = fields.UUIDField()
    dimension = fields.CharEnumField(UsageDimension, max_length=12)
    subject_id = fields.UUIDField()
    user_id = fields.UUIDField(null=True, db_index=True)
    name = fields.CharField(max_length=200)

    class Meta:
        table = "locked_names"
        unique_together = (("report_id", "dimension", "subject_id"),)


class LockedLine(Model):
    """What a locked report counted of a session in a period. The lines of a period add up to what was locked or corrected so far.

    A period is known by its first date, as those of one installation and basis never overlap.
    """

    id = fields.BigIntField(primary_key=True)
    installation_id = fields.UUIDField()
    basis = fields.CharEnumField(ReportBasis, max_length=12)
    from_date = fields.DateField()
    revision = fields.IntField()
    session_id = fields.UUIDField(null=True)
    charger_id = fields.UUIDField(null=True)
    circuit_id = fields.UUIDField(null=True)
    user_id = fields.UUIDField(null=True, db_index=True)
    card_id = fields.UUIDField(null=True)
    session_count = fields.IntField()
    energy_wh = fields.BigIntField()
    connected_s = fields.BigIntField()
    charging_s = fields.BigIntField()
    offline_count = fields.IntField()
    unreliable_count = fields.IntField()
    cost_minor = fields.BigIntField(null=True)
    vat_minor = fields.BigIntField(null=True)
    unknown_costs = fields.IntField(null=True)
    currency = fields.CharField(max_length=3, null=True)

    class Meta:
        table = "locked_lines"
        indexes = (
            Index(fields=("installation_id", "basis", "from_date", "session_id")),
            Index(fields=("session_id",)),
        )


class ReportSchedule(Model):
    """A report that is sent every month. `group_by` has commas between, `recipients` is a JSON list of addresses.

    `next_at` is when the report of the month before is due.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation: fields.ForeignKeyRelation[Installation] = fields.ForeignKeyField(
        "domain.Installation", related_name="report_schedules", on_delete=fields.OnDelete.RESTRICT, db_index=True
    )
    installation_id: UUID
    kind = fields.CharEnumField(ReportKind, max_length=16)
    format = fields.CharEnumField(ExportFormat, max_length=8)
    basis = fields.CharEnumField(ReportBasis, max_length=12)
    group_by = fields.CharField(max_length=40)
    is_per_person = fields.BooleanField(default=False)
    recipients = fields.TextField()
    created_by_id = fields.UUIDField()
    created_at = fields.DatetimeField()
    next_at = fields.DatetimeField(db_index=True)
    removed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "report_schedules"


class ReportDelivery(Model):
    """The report of one month to one recipient, so that nobody has it twice. `subject` tells recipients apart.

    `user_id` is set where it is a person's own part, `recipient` is what is shown.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    schedule: fields.ForeignKeyRelation[ReportSchedule] = fields.ForeignKeyField(
        "domain.ReportSchedule", related_name="deliveries", on_delete=fields.OnDelete.RESTRICT
    )
    schedule_id: UUID
    from_date = fields.DateField()
    to_date = fields.DateField()
    subject = fields.CharField(max_length=254)
    user_id = fields.UUIDField(null=True, db_index=True)
    recipient = fields.CharField(max_length=254)
    state = fields.CharEnumField(DeliveryState, max_length=8, default=DeliveryState.WAITING)
    planned_at = fields.DatetimeField()
    at = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=500, null=True)
    export_id = fields.UUIDField(null=True)

    class Meta:
        table = "report_deliveries"
        unique_together = (("schedule_id", "from_date", "subject"),)
