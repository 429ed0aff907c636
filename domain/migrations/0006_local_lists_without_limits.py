from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("domain", "0005_charger_kinds")]

    initial = False

    operations = [
        ops.RemoveField(model_name="LocalList", name="most_entries"),
        ops.RemoveField(model_name="LocalList", name="most_per_message"),
        ops.RemoveField(model_name="LocalList", name="due_at"),
    ]
