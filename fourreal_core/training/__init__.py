"""Training of the 4D video model: stages, data, checkpoints."""
