from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from domain.ids import new_id
from domain.roles import RecordPlace


class Migration(migrations.Migration):
    dependencies = [("domain", "0022_tariffs")]

    initial = False

    operations = [
        ops.CreateModel(
            name="SignedRecord",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("session_id", fields.UUIDField()),
                ("installation_id", fields.UUIDField()),
                ("place", fields.CharEnumField(description="BEGIN: BEGIN\nLATEST: LATEST\nEND: END", enum_type=RecordPlace, max_length=8)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("received_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("format", fields.CharField(max_length=20)),
                ("record", fields.TextField(unique=False)),
            ],
            options={
                "table": "signed_records",
                "app": "domain",
                "unique_together": (("session_id", "place"),),
                "pk_attr": "id",
                "table_description": "A record of a session as the meter signed it, at most one for each place in it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="MeterKey",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ("charger", fields.ForeignKeyField("domain.Charger", source_field="charger_id", db_constraint=True, to_field="id", related_name="meter_keys", on_delete=OnDelete.RESTRICT)),
                ("public_key", fields.CharField(max_length=512)),
                ("is_confirmed", fields.BooleanField(default=False)),
                ("known_since", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("replaced_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "meter_keys",
                "app": "domain",
                "indexes": [Index(fields=["charger_id", "known_since"])],
                "pk_attr": "id",
                "table_description": "A public key that a charger's meter signs with, from `known_since` until `replaced_at` (None: now).",
            },
            bases=["Model"],
        ),
    ]
