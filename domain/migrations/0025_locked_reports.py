from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from domain.ids import new_id
from domain.roles import ReportBasis, UsageDimension

_BASES = "REGISTERED: REGISTERED\nENDED: ENDED\nINTERVAL: INTERVAL"
_DIMENSIONS = "\n".join(f"{one.value}: {one.value}" for one in UsageDimension)


class Migration(migrations.Migration):
    dependencies = [("domain", "0024_alerts_of_all_things")]

    initial = False

    operations = [
        ops.CreateModel(
            name="LockedReport",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ("installation", fields.ForeignKeyField("domain.Installation", source_field="installation_id", db_constraint=True, to_field="id", related_name="locked_reports", on_delete=OnDelete.RESTRICT)),
                ("basis", fields.CharEnumField(description=_BASES, enum_type=ReportBasis, max_length=12)),
                ("revision", fields.IntField()),
                ("from_date", fields.DateField()),
                ("to_date", fields.DateField()),
                ("time_zone", fields.CharField(max_length=64)),
                ("period_start_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("period_end_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("locked_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("locked_by_id", fields.UUIDField()),
                ("document", fields.TextField(unique=False)),
                ("sha256", fields.CharField(max_length=64)),
            ],
            options={
                "table": "locked_reports",
                "app": "domain",
                "unique_together": (("installation_id", "basis", "revision"),),
                "pk_attr": "id",
                "table_description": "A report that never changes. `document` is its canonical text, of which `sha256` is the digest. It names no person.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="LockedName",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("report_id", fields.UUIDField()),
                ("dimension", fields.CharEnumField(description=_DIMENSIONS, enum_type=UsageDimension, max_length=12)),
                ("subject_id", fields.UUIDField()),
                ("user_id", fields.UUIDField(null=True, db_index=True)),
                ("name", fields.CharField(max_length=200)),
            ],
            options={
                "table": "locked_names",
                "app": "domain",
                "unique_together": (("report_id", "dimension", "subject_id"),),
                "pk_attr": "id",
                "table_description": "How a person or a card is called in a locked report, beside its document, as a name must be forgotten when its person is.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="LockedLine",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("installation_id", fields.UUIDField()),
                ("basis", fields.CharEnumField(description=_BASES, enum_type=ReportBasis, max_length=12)),
                ("from_date", fields.DateField()),
                ("revision", fields.IntField()),
                ("session_id", fields.UUIDField(null=True)),
                ("charger_id", fields.UUIDField(null=True)),
                ("circuit_id", fields.UUIDField(null=True)),
                ("user_id", fields.UUIDField(null=True, db_index=True)),
                ("card_id", fields.UUIDField(null=True)),
                ("session_count", fields.IntField()),
                ("energy_wh", fields.BigIntField()),
                ("connected_s", fields.BigIntField()),
                ("charging_s", fields.BigIntField()),
                ("offline_count", fields.IntField()),
                ("unreliable_count", fields.IntField()),
                ("cost_minor", fields.BigIntField(null=True)),
                ("currency", fields.CharField(null=True, max_length=3)),
            ],
            options={
                "table": "locked_lines",
                "app": "domain",
                "indexes": [
                    Index(fields=["installation_id", "basis", "from_date", "session_id"]),
                    Index(fields=["session_id"]),
                ],
                "pk_attr": "id",
                "table_description": "What a locked report counted of a session in a period. The lines of a period add up to what was locked or corrected so far.",
            },
            bases=["Model"],
        ),
    ]
