"""reshore: one server for OpenAI applications, local first, cloud where it must be."""

__version__ = "0.1.0"
