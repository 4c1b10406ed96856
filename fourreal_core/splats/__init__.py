"""Isotropic Gaussian splats, from tracked points to a 4D scene that plays in time."""
