from datetime import UTC, datetime

from tortoise import migrations
from tortoise.migrations import operations as ops

from domain import sql

# Accounts with a password and an address were made by the operator, or have proven it since.
_PROVEN = """
UPDATE users SET email_verified_at = created_at
WHERE email IS NOT NULL AND password_hash IS NOT NULL AND email_verified_at IS NULL
"""

# Their digests were made without a key: whoever has the rows could try passwords on them.
_UNKEYED = """
DELETE FROM idempotency_keys
WHERE mutation IN ('changePassword', 'resetPassword', 'confirmTotp', 'removeTotp', 'erasePerson')
"""

# Invitations were kept without a code and sent to nobody: each gets its letter, as long as its time is not over.
_HEX = "REPLACE(CAST(p.id AS VARCHAR(36)), '-', '')"
_UNSENT = f"""
INSERT INTO outbox (id, kind, payload, created_at, due_at, attempts)
SELECT p.id, 'invitation', {_HEX}, $1, $1, 0 FROM permissions p
WHERE p.email IS NOT NULL AND p.user_id IS NULL AND p.revoked_at IS NULL AND p.invitation_digest IS NULL
  AND p.invitation_expires_at > $1
  AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.kind = 'invitation' AND o.payload = {_HEX})
"""


async def _send_invitations(_apps, _editor) -> None:
    await sql.execute(_UNSENT, datetime.now(UTC))


class Migration(migrations.Migration):
    dependencies = [("domain", "0010_firmware")]

    initial = False

    operations = [
        ops.RunSQL(_PROVEN, ops.RunSQL.noop),
        ops.RunSQL(_UNKEYED, ops.RunSQL.noop),
        ops.RunPython(_send_invitations, ops.RunPython.noop),
    ]
