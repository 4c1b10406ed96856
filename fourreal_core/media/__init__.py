"""Clips and pictures in, clips and pictures out; nothing here loads a codec before it is used."""

from .clips import ClipPair, read_clip, read_clip_pair, read_pair
from .contact_sheets import contact_sheet, grid_wall
from .files import output_path, prepare_folder, write_bytes
from .framing import ASPECT_TOLERANCE, FITS
from .images import natural_key, read_image, save_image
from .masks import read_mask
from .video import write_video

__all__ = [
    "ASPECT_TOLERANCE",
    "FITS",
    "ClipPair",
    "contact_sheet",
    "grid_wall",
    "natural_key",
    "output_path",
    "prepare_folder",
    "read_clip",
    "read_clip_pair",
    "read_image",
    "read_mask",
    "read_pair",
    "save_image",
    "write_bytes",
    "write_video",
]
