"""Run by Alembic: the changes of the schema over a connection that is open already.

`ledger/database.py` puts it into the attributes of Alembic's configuration, and holds the
transaction.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
