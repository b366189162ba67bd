"""One entry per request: what it was, who answered, what it cost. See `docs/ledger.md`."""
