"""Upstreams: any API that speaks OpenAI's dialect, asked with our keys and none of the client's."""

from reshore.backends.remote.remote import Remote
from reshore.backends.remote.session import open_session
from reshore.backends.remote.upstreams import open_upstreams

__all__ = ["Remote", "open_session", "open_upstreams"]
