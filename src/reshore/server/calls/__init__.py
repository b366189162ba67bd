"""Requests as calls: what any target can be asked with, in the dialect of the client."""
