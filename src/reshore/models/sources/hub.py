"""GGUF files of Hugging Face's hub: `hf.co/owner/repo:QUANT`.

`huggingface_hub` (the extra `hf`) says which files there are and what their sha256 is, with the
machine's own endpoint and login (`HF_ENDPOINT`, `HF_TOKEN`); the bytes are fetched like those of a
registry: in parts, resumable, checked.
"""

from __future__ import annotations

import os

from msgspec import Struct
from yarl import URL

from reshore.errors import SourceError
from reshore.models.blocking import blocking
from reshore.models.manifest import MODEL_TYPE, PROJECTOR_TYPE, Layer
from reshore.models.names import Name
from reshore.models.sources.fetch import fetch_blob, ranges_of, whole_or_not
from reshore.models.sources.manner import Manner
from reshore.models.sources.quants import RemoteFile, choose
from reshore.models.sources.web import Web
from reshore.models.store import Store

HOSTS = frozenset({"hf.co", "huggingface.co"})

_LIST_S = 30.0
_REDIRECTS = 3  # a renamed repository, the storage behind it, and one of that storage's own


class _Repository(Struct, frozen=True):
    """What the hub says of a repository."""

    endpoint: str
    token: str | None
    revision: str
    files: tuple[RemoteFile, ...]


class FromHub(Struct, frozen=True, kw_only=True):
    """What was fetched: the layers, model first, and where they came from."""

    layers: tuple[Layer, ...]
    source: str


async def fetch_from_hub(store: Store, name: Name, manner: Manner, *, insecure: bool) -> FromHub:
    """Bring the files that a name means into the store.

    Raises:
        SourceError: the extra is not installed, the hub does not have or not give the model.
        DigestMismatch: other bytes come than the hub promised; nothing is kept.
        DiskFull: no space is left.
    """
    what = f"{name.host}/{name.namespace}/{name.model}"
    repository = await blocking(_look_up, name, what)
    if repository.endpoint.startswith("http://") and not insecure:
        raise SourceError(
            f"{what}: insecure protocol http of HF_ENDPOINT; allow it with --insecure"
        )
    chosen = choose(repository.files, name.tag, what)
    kinds = (MODEL_TYPE, PROJECTOR_TYPE)
    wanted = [(file, kind) for file, kind in zip(chosen, kinds, strict=True) if file]
    layers = tuple(_layer(file, kind, what) for file, kind in wanted)
    web = Web(name.host, manner.patience, token=repository.token, redirects=_REDIRECTS)
    async with web, whole_or_not(store, layers):
        for (file, _), layer in zip(wanted, layers, strict=True):
            address = _address(repository, name, file)
            open_range = ranges_of(web, address, f"file does not exist: {file.path}")
            await fetch_blob(store, layer, open_range, name.host, manner)
    return FromHub(layers=layers, source=f"hub:{what}@{repository.revision[:12]}")


def _address(repository: _Repository, name: Name, file: RemoteFile) -> URL:
    base = URL(repository.endpoint)
    parts = (name.namespace, name.model, "resolve", repository.revision, *file.path.split("/"))
    for part in parts:
        base = base / part
    return base


def _layer(file: RemoteFile, kind: str, what: str) -> Layer:
    if file.sha256 is None:
        raise SourceError(f"{what} does not tell the sha256 of {file.path}, so it is not fetched")
    return Layer(kind, f"sha256:{file.sha256}", file.size)


def _look_up(name: Name, what: str) -> _Repository:
    """Ask the hub, with the login of this machine. Blocking."""
    try:
        import httpx2
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError as error:
        raise SourceError(
            f"{what}: models of Hugging Face need the extra hf: pip install 'reshore[hf]'"
        ) from error
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    token = huggingface_hub.get_token()
    api = huggingface_hub.HfApi(endpoint=endpoint, token=token or False)
    repo = f"{name.namespace}/{name.model}"
    try:
        info = api.model_info(repo, files_metadata=True, timeout=_LIST_S)
    except errors.GatedRepoError as error:
        raise SourceError(
            f"{what} wants its terms accepted on its page first; then log in with `hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise SourceError(
            f"{what}: file does not exist there, or only for who logs in (`hf auth login`)"
        ) from error
    except (httpx2.HTTPError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise SourceError(f"{what} cannot be looked up at {endpoint}: {reason}") from error
    files = tuple(
        RemoteFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None)
        for file in info.siblings or ()
    )
    return _Repository(endpoint, token, info.sha or "main", files)
