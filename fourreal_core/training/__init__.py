"""What models are trained and checked on: scenes made here, with everything about them known."""

from .procedural import DemoScene, demo_scene

__all__ = ["DemoScene", "demo_scene"]
