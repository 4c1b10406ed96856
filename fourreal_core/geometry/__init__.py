"""Cameras and depth of the freeze-time clip: structure from motion, dense depth, other sources, checks of clips."""
