from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from domain.ids import new_id


class Migration(migrations.Migration):
    dependencies = [("domain", "0007_pending_session_events")]

    initial = False

    operations = [
        ops.CreateModel(
            name="OcppMessage",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=new_id, unique=True, db_index=True)),
                ("station_id", fields.UUIDField()),
                ("installation_id", fields.UUIDField(null=True)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("is_from_charger", fields.BooleanField()),
                ("action", fields.CharField(max_length=50)),
                ("payload", fields.TextField(unique=False)),
            ],
            options={
                "table": "ocpp_messages",
                "app": "domain",
                "indexes": [Index(fields=["station_id", "at", "id"])],
                "pk_attr": "id",
                "table_description": "One message as people may read it, without card numbers and passwords. `installation_id` is where the station stood.",
            },
            bases=["Model"],
        ),
    ]
