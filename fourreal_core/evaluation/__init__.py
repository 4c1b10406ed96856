"""How good completed grids are: figures with and without truth, compared methods, and a report."""
