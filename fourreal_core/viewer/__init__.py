"""The 4D viewer: a scene as a compact payload, the page that plays it, and a local server for such pages."""

from .payload import GivenFrame, PayloadOptions, viewer_payload

__all__ = ["GivenFrame", "PayloadOptions", "viewer_payload"]
