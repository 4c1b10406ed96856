"""2D optical flow: algebra on flow fields, engines that measure them, and the one cache of what was measured."""
