from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from domain.ids import new_id


class Migration(migrations.Migration):
    dependencies = [("domain", "0004_questions_called_once")]

    initial = False

    operations = [
        ops.CreateModel(
            name="ChargerKind",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ("vendor", fields.CharField(max_length=100)),
                ("model", fields.CharField(max_length=100)),
                ("firmware", fields.CharField(max_length=100)),
                ("facts", fields.TextField(unique=False)),
                ("learnt_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "charger_kinds",
                "app": "domain",
                "unique_together": (("vendor", "model", "firmware"),),
                "pk_attr": "id",
                "table_description": "What chargers of one vendor, model and firmware have taught about themselves, `facts` as JSON.",
            },
            bases=["Model"],
        ),
    ]
