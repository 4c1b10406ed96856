"""4Real for ComfyUI: the host's entry point, and nothing else."""

WEB_DIRECTORY = "./web"
"""What the host's front end loads."""


async def comfy_entrypoint():  # noqa: ANN201 - the class is the host's and is imported only when it asks
    """Called by ComfyUI once at start; returns the extension that lists the nodes."""
    from .nodes import FourRealExtension

    return FourRealExtension()
