"""Comparing models offline: the same prompts to each, their answers checked and counted."""
