"""What the previews in the front end load: the viewer's modules, and payloads in the host's temp folder."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import folder_paths
import torch

from ..fourreal_core.media.files import prepare_folder, write_bytes
from ..fourreal_core.viewer.bundle import FOLDER

log = logging.getLogger(__name__)

ADDRESS = "/fourreal/viewer"
"""Where the host's server has the viewer's modules; ``web/fourreal.js`` names it, too."""

SUBFOLDER = "fourreal"


def serve_viewer() -> None:
    """Has the host's server hand out the viewer's modules; without a server there is nobody to ask for them."""
    try:
        from server import PromptServer

        PromptServer.instance.routes.static(ADDRESS, str(FOLDER))
    except (ImportError, AttributeError) as err:
        log.debug("the viewer's modules are not served: %s", err)


def temp_payload(value: Any, make: Callable[[], bytes]) -> dict[str, str]:
    """A payload in the host's temp folder, made only where the same value has none there yet.

    Args:
        value: What it shows: tensors, modules, and dataclasses and tuples of such; its contents name the file.
        make: Makes the payload.

    Returns:
        The file as the host's ``/view`` takes it.
    """
    name = f"{_digest(value)}.4rv"
    folder = prepare_folder(Path(folder_paths.get_temp_directory()) / SUBFOLDER)
    if not (folder / name).is_file():
        write_bytes(folder / name, make())
    return {"filename": name, "subfolder": SUBFOLDER, "type": "temp"}


def _digest(value: Any) -> str:
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, torch.Tensor):
            plain = part.detach().cpu().contiguous()
            digest.update(f"{plain.dtype} {tuple(plain.shape)}".encode())
            digest.update(plain.flatten().view(torch.uint8).numpy().tobytes())
        elif isinstance(part, torch.nn.Module):
            for key, tensor in sorted(part.state_dict().items()):
                digest.update(key.encode())
                add(tensor)
        elif hasattr(part, "__dataclass_fields__"):
            for key in part.__dataclass_fields__:
                digest.update(key.encode())
                add(getattr(part, key))
        elif isinstance(part, tuple):
            digest.update(f"{len(part)} parts".encode())
            for one in part:
                add(one)
        else:
            digest.update(f"{part!r};".encode())

    add(value)
    return digest.hexdigest()[:24]
