"""Codecs between a dialect's bytes and the shared types. No I/O."""
