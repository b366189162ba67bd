"""The gateway beside its peers: `python -m bench.gateway --json OUT`."""
