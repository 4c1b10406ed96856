"""From noise to frames: velocity-matching steps, known cells that stay, windows and chunks of long grids."""
