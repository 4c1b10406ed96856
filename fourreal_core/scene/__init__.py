"""The 4D scene: splats, their deformation, cameras, renders, and the files a scene is kept in."""
