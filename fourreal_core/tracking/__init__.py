"""3D tracks: the same surface points followed through the freeze-time and the fixed-view clip."""
