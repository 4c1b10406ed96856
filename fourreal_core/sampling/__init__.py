"""From noise to frames: velocity-matching steps, known cells that stay, chunks of long grids."""
