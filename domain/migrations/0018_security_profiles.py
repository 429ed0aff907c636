from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0017_clocks_of_stations")]

    initial = False

    operations = [
        ops.AddField(model_name="Station", name="security_profile", field=fields.IntField(null=True)),
        ops.AddField(model_name="Station", name="minimum_security_profile", field=fields.IntField(default=1, db_default=1)),
    ]
