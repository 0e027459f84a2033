"""Models of the Hugging Face Hub: an id and a revision become a folder on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from httpx2 import TransportError
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tokencredit.base.folder import content_digest
from tokencredit.base.shards import check_shards
from tokencredit.config import HubModel
from tokencredit.errors import UserError
from tokencredit.study.paths import MODEL_FILES

_WAITS = (1.0, 4.0, 16.0, 60.0)  # seconds before each further try
_BUSY = {408, 429, 500, 502, 503, 504}


def resolve(name: str, model: HubModel) -> dict[str, Any]:
    """The manifest of a Hub model: its local folder, downloaded unless it is in the cache, the resolved commit and a digest of its files.

    ``HF_HUB_OFFLINE`` and ``HF_HOME`` act as usual. Raises ``UserError`` where the model does not exist or cannot be reached.
    """
    where = f"config/models.yaml: models.{name}.id = {model.id!r}, revision {model.revision!r}"
    try:
        folder = Path(_fetched(model))
    except GatedRepoError as error:
        raise UserError(f"{where}: access is gated; accept its licence on the Hub and log in with a token.") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise UserError(f"{where}: the Hugging Face Hub has no such model or revision, or it is private.") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise UserError(
            f"{where}: not in the local cache, and the Hugging Face Hub cannot be reached (offline?)."
        ) from error
    except (HTTPError, OSError) as error:
        raise UserError(f"{where}: cannot be downloaded: {' '.join(str(error).split())}.") from error
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{where}: holds no .safetensors file; only that format is read.")
    check_shards(folder, where)
    return {
        "kind": "hub",
        "id": model.id,
        "path": str(folder),
        "revision": folder.name,
        "sha256": content_digest(folder),
    }


def _fetched(model: HubModel) -> str:
    """The folder in the cache. A Hub that is busy, or a connection that breaks off, is tried again, and what came is kept."""
    for wait in (*_WAITS, None):
        try:
            return snapshot_download(model.id, revision=model.revision, allow_patterns=[*MODEL_FILES])
        except (HTTPError, OSError) as error:
            if wait is None or not _passes(error):
                raise
            time.sleep(wait)
    raise AssertionError("unreachable")


def _passes(error: Exception) -> bool:
    """Whether waiting may help: the Hub is busy or being restarted, or the connection broke off in a file."""
    if isinstance(error, LocalEntryNotFoundError):  # the Hub did not list its files: it is away, or said why
        return _status(error.__cause__) in _BUSY
    return _status(error) in _BUSY or isinstance(error, TransportError)


def _status(error: BaseException | None) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)
