from tortoise import fields, migrations
from tortoise.migrations import operations as ops

from domain.ids import new_id


class Migration(migrations.Migration):
    dependencies = [("domain", "0014_what_stations_hold")]

    initial = False

    operations = [
        ops.CreateModel(
            name="UnknownCharger",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ("identity", fields.CharField(unique=True, max_length=48)),
                ("first_seen_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("last_seen_at", fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ("attempts", fields.IntField(default=0)),
                ("address", fields.CharField(max_length=45)),
                ("protocol", fields.CharField(null=True, max_length=16)),
                ("vendor", fields.CharField(null=True, max_length=100)),
                ("model", fields.CharField(null=True, max_length=100)),
                ("serial_number", fields.CharField(null=True, max_length=100)),
                ("firmware_version", fields.CharField(null=True, max_length=100)),
                ("password_hash", fields.CharField(null=True, max_length=64)),
                ("is_contested", fields.BooleanField(default=False)),
            ],
            options={
                "table": "unknown_chargers",
                "app": "domain",
                "pk_attr": "id",
                "table_description": "A charger that knocked and that nobody has added, one row an identity, told by itself and believed in nothing.",
            },
            bases=["Model"],
        ),
    ]
