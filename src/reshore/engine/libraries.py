"""Words for the dynamic linker's errors: which package to install."""

from __future__ import annotations

import re

_PACKAGES = {
    "libgomp": ("libgomp1", "libgomp"),
    "libstdc++": ("libstdc++6", "libstdc++"),
    "libgcc_s": ("libgcc-s1", "libgcc"),
}


def explain(error: str) -> str:
    """One line that says what to install, for the text of an `ImportError` or `OSError`."""
    missing = re.search(r"(lib[\w+.-]+?)\.so[.\d]*: cannot open shared object", error)
    if missing:
        return _missing(missing[0].split(":")[0], missing[1])
    version = re.search(r"version [`']((?:GLIBC|GLIBCXX)_[\d.]+)' not found", error)
    if version:
        return (
            f"The engine needs {version[1]}, which is newer than this system's C library. Use a "
            'newer distribution, or a llama-server executable: `engine.kind = "llama-server"`.'
        )
    if "No module named 'xllamacpp'" in error:
        return "The engine is not installed: `pip install xllamacpp`."
    return f"The engine's library cannot be loaded: {error}"


def _missing(file: str, library: str) -> str:
    debian, fedora = _PACKAGES.get(library, (library, library))
    return (
        f"The engine needs {file}, which is not installed. Debian, Ubuntu: `apt-get install "
        f"{debian}`; Fedora, RHEL: `dnf install {fedora}`; Alpine: its C library is not the one "
        "the engine is built for, use a Debian-based image."
    )
