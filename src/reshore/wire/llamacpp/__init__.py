"""The dialect of llama.cpp's server, which every engine speaks.

Only the fields written in `requests` ever reach an engine (an allowlist): the engine accepts many
more, of which some stop it (`n_discard`, nested grammars) or read files. It is always asked to
stream, because a non-streamed generation does not notice that its client has left.
"""
