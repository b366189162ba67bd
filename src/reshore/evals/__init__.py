"""Comparing models, and learning from what was compared."""
