"""Clips and pictures in, clips and pictures out; nothing here loads a codec before it is used."""

from .clips import ASPECT_TOLERANCE, read_clip, read_clip_pair
from .contact_sheets import contact_sheet, grid_wall
from .files import output_path, prepare_folder, write_bytes
from .images import natural_key, read_image, read_mask, save_image
from .video import write_video

__all__ = [
    "ASPECT_TOLERANCE",
    "contact_sheet",
    "grid_wall",
    "natural_key",
    "output_path",
    "prepare_folder",
    "read_clip",
    "read_clip_pair",
    "read_image",
    "read_mask",
    "save_image",
    "write_bytes",
    "write_video",
]
