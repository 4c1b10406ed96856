"""Many jobs: a manifest in, an output folder each out, with an index. What a job does is its caller's."""
