from tortoise import migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0025_locked_reports")]

    initial = False

    operations = [ops.AddIndex(model_name="ChargeSession", index=Index(fields=["charger_id", "registered_at"]))]
