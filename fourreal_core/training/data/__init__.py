"""Where training grids come from: a cache of made scenes, videos as pseudo-4D, folders and shards of true 4D."""
