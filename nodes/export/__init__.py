"""Ways out of a 4D scene: the host's types and files."""
