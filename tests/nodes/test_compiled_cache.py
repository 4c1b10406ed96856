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
binning, compositing, compiling, gradients = (
    importlib.import_module(name + ".rasterizer." + part)
    for part in ("binning", "compositing", "compiling", "gradients")
)
kernels = [binning.project_splats, binning.place_pairs]
more = [compositing.composite_tiles, gradients.replay_tiles, gradients.gather_gradients]
assert all(k.py_func.__qualname__.endswith(compiling._OWNER) for k in kernels + more)
missing = lambda: not all(map(compiling.has_code, kernels))
def skipped(*arguments): pass
skipped.signatures = [None]
compositing.composite_tiles = skipped  # the longest to compile; it is kept as the others are
before = missing()
importlib.import_module(name + ".rasterizer.warm_up").warm_up(False)
print(before, missing())
complete = importlib.import_module(name + ".flow.edge_aware_filter").complete
values = np.full((8, 8), 3, np.float32)
print(float(complete(values, np.ones_like(values), np.zeros((8, 8, 3), np.float32), 1.0, 0.1)[0].mean()))
"""


def test_kernels_cached_under_one_name_load_under_another(tmp_path: Path) -> None:
    for name, missing in (("fourreal_core", True), ("/custom_nodes/x_fourreal_core", True), ("fourreal_core", False)):
        done = subprocess.run(
            [sys.executable, "-c", FILL_UNDER_NAME, str(REPOSITORY), name],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        before, after, mean = done.stdout.split()
        assert (before, after) == (str(missing), "False")  # the rasterizer's kernels are each package's own
        assert float(mean) == pytest.approx(3, abs=1e-3)
