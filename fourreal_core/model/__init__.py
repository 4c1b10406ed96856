"""The 4D video model: a masked video DiT, run as two streams over a grid that are kept in step."""
