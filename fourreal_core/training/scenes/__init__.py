"""Seeded 4D scenes without end: textured creatures, things, cloths and machines before textured surroundings."""
