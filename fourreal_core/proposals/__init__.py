"""Where the colour of a missing cell comes from: candidates, photometric check, selection, disocclusion, blending."""
