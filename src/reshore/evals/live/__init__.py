"""Pairs of live traffic, compared as they come: see `docs/evaluation.md`."""
