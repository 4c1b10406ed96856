"""Files of a scene, one format a module."""
