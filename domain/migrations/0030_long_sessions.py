from tortoise import migrations
from tortoise.migrations import operations as ops

from domain import sql

# Few sessions last a month, and a report of when energy was taken must find them however long ago they began:
# domain/usage/intervals.py asks for them apart.
_INDEX = """
CREATE INDEX idx_charge_sess_long ON charge_sessions (installation_id, started_at) WHERE connected_s >= 2592000
"""


async def _add(_apps, _editor) -> None:
    await sql.execute(_INDEX)


async def _remove(_apps, _editor) -> None:
    await sql.execute("DROP INDEX idx_charge_sess_long")


class Migration(migrations.Migration):
    dependencies = [("domain", "0029_costs_of_locked_lines")]

    initial = False

    operations = [ops.RunPython(_add, _remove)]
