"""Run by ComfyUI-Manager after requirements.txt: brings OpenCV where there is none that works.

OpenCV comes as four distributions that write the same package, cv2, over each other; a requirement names only one of
them, and installing it would take from other extensions what they need of theirs. So a cv2 that loads is left alone,
whatever its name, and NumPy stays as it is.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys

CONTRIB = ("opencv-contrib-python", "opencv-contrib-python-headless")
PROBE = "import cv2; cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)"


def failure() -> str | None:
    """Why OpenCV can't be used by this Python, or None; asked of a new process, as a broken one may crash."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else lines[-1] if lines else f"exit status {done.returncode}"


def installed(name: str) -> str | None:
    """The version of a distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def requirements() -> list[str]:
    """What to ask for: with the contrib modules where a broken cv2 had them, and for the NumPy that is here."""
    name = "opencv-contrib-python-headless" if any(map(installed, CONTRIB)) else "opencv-python-headless"
    numpy = installed("numpy")
    return [f"{name}>=4.8", *([f"numpy=={numpy}"] if numpy else [])]


def installer() -> list[str] | None:
    """The command that installs into this Python: pip's, or uv's where an environment has no pip."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode == 0:
        return [*pip, "install"]
    uv = shutil.which("uv")
    return [uv, "pip", "install", "--python", sys.executable] if uv else None


def main() -> int:
    """Installs OpenCV if it is needed; returns the exit status."""
    reason = failure()
    if reason is None:
        print("4Real: OpenCV is here and stays as it is")
        return 0
    print(f"4Real: OpenCV can't be used ({reason})")
    command, wanted = installer(), requirements()
    # what is registered as installed may be damaged: pip then does nothing unless it is told to
    for extra in ([], ["--force-reinstall", "--no-deps"]):
        packages = wanted[:1] if extra else wanted
        if command and subprocess.run([*command, *extra, *packages], check=False).returncode == 0 and failure() is None:
            print(f"4Real: {wanted[0]} is installed")
            return 0
    print(f'4Real: install OpenCV by hand: "{sys.executable}" -m pip install "{wanted[0]}"', file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
