"""One checkout serves the command line and the host, under two package names, from one cache of compiled kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FILL_UNDER_NAME = """
import importlib, importlib.util, sys
import numpy as np
root, name = sys.argv[1:]
spec = importlib.util.spec_from_file_location(name, root + "/fourreal_core/__init__.py")
sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[name])
raster = importlib.import_module(name + ".rasterizer")
import torch
means = torch.tensor([[0.0, 0.0, 2.0]], requires_grad=True)
one = torch.ones(1)
lens = torch.tensor([[8.0, 0, 4], [0, 8, 4], [0, 0, 1]])
image = raster.rasterize(means, 0.1 * one, 0.5 * one, torch.ones(1, 3), lens, (8, 8),
                         options=raster.RasterOptions(backend="numba")).image
image.sum().backward()
complete = importlib.import_module(name + ".tracking.edge_aware").complete
values = np.full((8, 8), 3, np.float32)
print(float(complete(values, np.ones_like(values), np.zeros((8, 8, 3), np.float32), 1.0, 0.1)[0].mean()))
"""


def test_kernels_cached_under_one_name_load_under_another(tmp_path: Path) -> None:
    for name in ("fourreal_core", "/custom_nodes/x_fourreal_core", "fourreal_core"):
        done = subprocess.run([sys.executable, "-c", FILL_UNDER_NAME, str(REPOSITORY), name], capture_output=True,
                              text=True, check=False, cwd=tmp_path, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)})
        assert done.returncode == 0, done.stderr[-2000:]
        assert float(done.stdout) == pytest.approx(3, abs=1e-3)
