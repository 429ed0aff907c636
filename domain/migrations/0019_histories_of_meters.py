from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0018_security_profiles")]

    initial = False

    operations = [
        ops.AddField(model_name="Circuit", name="meter_history", field=fields.TextField(null=True, unique=False)),
    ]
