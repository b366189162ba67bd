"""The ledger's history of schemas, for Alembic: one file a change in `versions/`."""
