"""What a callback raises in tests to cancel the work, as a host raises an exception of its own."""

from __future__ import annotations


class Cancelled(Exception):
    """Nothing in the core knows it, so nothing there can catch it."""
