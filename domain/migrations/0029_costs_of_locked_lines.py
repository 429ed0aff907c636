from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0028_report_schedules")]

    initial = False

    operations = [
        ops.AddField(model_name="LockedLine", name="vat_minor", field=fields.BigIntField(null=True)),
        ops.AddField(model_name="LockedLine", name="unknown_costs", field=fields.IntField(null=True)),
    ]
