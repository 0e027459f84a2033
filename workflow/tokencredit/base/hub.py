"""Models of the Hugging Face Hub: an id and a revision become a folder on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
from tokencredit.config import HubModel
from tokencredit.errors import UserError
from tokencredit.study.paths import MODEL_FILES


def resolve(name: str, model: HubModel) -> dict[str, Any]:
    """The manifest of a Hub model: its local folder, downloaded unless it is in the cache, the resolved commit and a digest of its files.

    ``HF_HUB_OFFLINE`` and ``HF_HOME`` act as usual. Raises ``UserError`` where the model does not exist or cannot be reached.
    """
    where = f"config/models.yaml: models.{name}.id = {model.id!r}, revision {model.revision!r}"
    try:
        folder = Path(snapshot_download(model.id, revision=model.revision, allow_patterns=[*MODEL_FILES]))
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
    return {
        "kind": "hub",
        "id": model.id,
        "path": str(folder),
        "revision": folder.name,
        "sha256": content_digest(folder),
    }
