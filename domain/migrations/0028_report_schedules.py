from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops

from domain.ids import new_id
from domain.roles import DeliveryState, ExportFormat, ReportBasis, ReportKind


def _values(kind):
    return "\n".join(f"{one.value}: {one.value}" for one in kind)


class Migration(migrations.Migration):
    dependencies = [("domain", "0027_alert_subscriptions")]

    initial = False

    operations = [
        ops.CreateModel(
            name="ReportSchedule",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ("installation", fields.ForeignKeyField("domain.Installation", source_field="installation_id", db_index=True, db_constraint=True, to_field="id", related_name="report_schedules", on_delete=OnDelete.RESTRICT)),
                ("kind", fields.CharEnumField(description=_values(ReportKind), enum_type=ReportKind, max_length=16)),
                ("format", fields.CharEnumField(description=_values(ExportFormat), enum_type=ExportFormat, max_length=8)),
                ("basis", fields.CharEnumField(description=_values(ReportBasis), enum_type=ReportBasis, max_length=12)),
                ("group_by", fields.CharField(max_length=40)),
                ("is_per_person", fields.BooleanField(default=False)),
                ("recipients", fields.TextField(unique=False)),
                ("created_by_id", fields.UUIDField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("next_at", fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ("removed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "report_schedules",
                "app": "domain",
                "pk_attr": "id",
                "table_description": "A report that is sent every month. `group_by` has commas between, `recipients` is a JSON list of addresses.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="ReportDelivery",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ("schedule", fields.ForeignKeyField("domain.ReportSchedule", source_field="schedule_id", db_constraint=True, to_field="id", related_name="deliveries", on_delete=OnDelete.RESTRICT)),
                ("from_date", fields.DateField()),
                ("to_date", fields.DateField()),
                ("subject", fields.CharField(max_length=254)),
                ("user_id", fields.UUIDField(null=True, db_index=True)),
                ("recipient", fields.CharField(max_length=254)),
                ("state", fields.CharEnumField(default=DeliveryState.WAITING, description=_values(DeliveryState), enum_type=DeliveryState, max_length=8)),
                ("planned_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("error", fields.CharField(null=True, max_length=500)),
                ("export_id", fields.UUIDField(null=True)),
            ],
            options={
                "table": "report_deliveries",
                "app": "domain",
                "unique_together": (("schedule_id", "from_date", "subject"),),
                "pk_attr": "id",
                "table_description": "The report of one month to one recipient, so that nobody has it twice. `subject` tells recipients apart.",
            },
            bases=["Model"],
        ),
        ops.AddField(model_name="Export", name="delivery_id", field=fields.UUIDField(null=True)),
    ]
