"""How good a picture is, and what making it cost."""

from .image_quality import psnr, ssim
from .memory import free_memory_mb, peak_memory_mb, return_freed_memory

__all__ = ["free_memory_mb", "peak_memory_mb", "psnr", "return_freed_memory", "ssim"]
