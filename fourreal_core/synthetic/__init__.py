"""Seeded scenes with everything about them known, for the demo, tests, training and benchmarks."""
