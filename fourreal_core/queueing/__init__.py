"""A ComfyUI workflow, queued once for every row of a manifest on one or several hosts."""
