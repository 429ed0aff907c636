from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0032_stumbles_of_exports")]

    initial = False

    operations = [
        ops.AddField(model_name="Offer", name="held_since", field=fields.DatetimeField(null=True)),
        ops.CreateModel(
            name="HeldSpan",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("charger", fields.ForeignKeyField("domain.Charger", source_field="charger_id", db_constraint=True, to_field="id", related_name="held_spans", on_delete=OnDelete.CASCADE)),
                ("since", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("until", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "held_spans",
                "app": "domain",
                "indexes": [Index(fields=["charger_id", "until"])],
                "pk_attr": "id",
                "table_description": "A time in which the portal offered nothing to a car that wanted current or was paused.",
            },
            bases=["Model"],
        ),
    ]
