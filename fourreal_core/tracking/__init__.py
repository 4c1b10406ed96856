"""From frames to geometry: optical flow, cameras and depth by parallax, dense 3D tracks."""
