from tortoise import migrations
from tortoise.migrations import operations as ops

from domain import sql

# A reading writes its charger's status and its session anew. Where their page has room for that, PostgreSQL leaves the indexes
# alone (heap-only tuples); in full pages a reading cost it an entry in each of a session's twelve.
_ROOM = ("ALTER TABLE charger_statuses SET (fillfactor = 40)", "ALTER TABLE charge_sessions SET (fillfactor = 70)")


async def _make_room(_apps, _editor) -> None:
    if not sql.is_sqlite():
        for statement in _ROOM:
            await sql.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("domain", "0012_recovery_codes")]

    initial = False

    operations = [ops.RunPython(_make_room, ops.RunPython.noop)]
