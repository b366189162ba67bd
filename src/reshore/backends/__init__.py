"""Objects that answer requests: local engines now, remote upstreams beside them."""
