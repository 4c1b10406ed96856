"""From tracked points to a 4D scene: canonical splats, floaters, motion segmentation, fits by tracks and renders."""
