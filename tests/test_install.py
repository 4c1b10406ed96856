"""install.py, which ComfyUI-Manager runs: a cv2 that works is left alone, whatever its name."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


class Computer:
    """Stands in for subprocess: what is installed, and which commands make OpenCV work.

    Attributes:
        works: Whether cv2 loads.
        has_pip: Whether this Python has pip.
        cure: Words of the command after which cv2 loads.
        commands: What was run to install something.
    """

    def __init__(self) -> None:
        self.works, self.has_pip, self.cure = False, True, "install"
        self.commands: list[list[str]] = []

    def run(self, command: list[str], **options: object) -> SimpleNamespace:
        """What subprocess.run gives."""
        if "-c" in command:
            return SimpleNamespace(returncode=0 if self.works else 1, stderr="Traceback\nImportError: libGL.so.1\n")
        if "--version" in command:
            return SimpleNamespace(returncode=0 if self.has_pip else 1)
        self.commands.append(command)
        self.works = self.works or all(word in command for word in self.cure.split())
        return SimpleNamespace(returncode=0)


@pytest.fixture
def computer() -> Computer:
    return Computer()


@pytest.fixture
def script(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Loads install.py on a computer where some distributions are installed."""

    def load(**installed: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location("install_script", REPOSITORY / "install.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        names = {name.replace("_", "-"): version for name, version in installed.items()}
        monkeypatch.setattr(module, "installed", names.get)
        monkeypatch.setattr(module, "subprocess", computer)
        return module

    return load


def test_a_working_opencv_stays(script: Callable[..., ModuleType], computer: Computer) -> None:
    computer.works = True
    assert script(opencv_contrib_python="4.10.0").main() == 0 and computer.commands == []


def test_the_probe_finds_the_opencv_of_these_tests(
    script: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2")
    module = script()
    monkeypatch.setattr(module, "subprocess", subprocess)
    assert module.failure() is None
    monkeypatch.setattr(module, "PROBE", "raise ImportError('libGL.so.1')")
    assert module.failure() == "ImportError: libGL.so.1"


def test_where_there_is_none_it_is_installed_beside_the_numpy_that_is_there(
    script: Callable[..., ModuleType], computer: Computer
) -> None:
    assert script(numpy="1.26.4").main() == 0
    (command,) = computer.commands
    assert command == [sys.executable, "-m", "pip", "install", "opencv-python-headless>=4.8", "numpy==1.26.4"]


def test_a_broken_one_with_contrib_modules_is_replaced_by_one_with_them(
    script: Callable[..., ModuleType], computer: Computer
) -> None:
    assert script(opencv_contrib_python="4.10.0").main() == 0
    assert computer.commands[0][-1] == "opencv-contrib-python-headless>=4.8"


def test_a_damaged_one_is_installed_again(script: Callable[..., ModuleType], computer: Computer) -> None:
    computer.cure = "--force-reinstall --no-deps"
    assert script(opencv_python_headless="4.10.0", numpy="2.0.0").main() == 0
    assert len(computer.commands) == 2 and computer.commands[1][-1] == "opencv-python-headless>=4.8"


def test_an_environment_of_uv_has_no_pip(
    script: Callable[..., ModuleType], computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    computer.has_pip = False
    module = script()
    monkeypatch.setattr(module.shutil, "which", lambda name: "/bin/" + name)
    assert module.main() == 0
    assert computer.commands[0][:5] == ["/bin/uv", "pip", "install", "--python", sys.executable]


def test_what_cannot_be_installed_is_one_sentence(
    script: Callable[..., ModuleType],
    computer: Computer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    computer.has_pip = False
    module = script()
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    assert module.main() == 1 and computer.commands == []
    assert "install OpenCV by hand" in capsys.readouterr().err


def test_no_requirement_brings_an_opencv() -> None:
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = {re.split(r"[<>=\[; ]", line)[0] for line in lines if line and not line.startswith("#")}
    assert "torch" in names and not {name for name in names if "opencv" in name or name == "kornia"}
