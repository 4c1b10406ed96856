"""4Real: 4D video from a freeze-time clip and a fixed-view clip, as a library on PyTorch.

Nothing in here knows ComfyUI; the nodes beside this package are one of its users, the ``fourreal`` command another.
"""

__version__ = "0.1.0"
