"""Rollouts at work: what drives the machine of `routing/rollout.py` on a running server."""
