"""Small readers of splat files, written from the formats' specifications, to check what others wrote."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SH_C0 = 0.28209479177387814
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Read:
    """What a file holds, in its own axes: positions, standard deviations ``(N, 3)``, opacities, colours."""

    means: Array
    scales: Array
    opacities: Array
    colors: Array


def read_glb(path: Path) -> tuple[Read, dict[str, Any]]:
    """Splats of the first mesh, and the extension's own object."""
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    document, body = json.loads(data[20 : 20 + size]), data[28 + size :]
    (primitive,) = document["meshes"][0]["primitives"]
    assert primitive["mode"] == 0 and "rotation" not in document["nodes"][0] and "matrix" not in document["nodes"][0]

    def values(name: str) -> Array:
        accessor = document["accessors"][primitive["attributes"][name]]
        view = document["bufferViews"][accessor["bufferView"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        assert accessor["componentType"] == 5126
        found = np.frombuffer(body, "<f4", accessor["count"] * width, view["byteOffset"]).reshape(-1, width)
        if name == "POSITION":
            assert np.array_equal(found.min(0), np.float32(accessor["min"]))
            assert np.array_equal(found.max(0), np.float32(accessor["max"]))
        return found

    own = "KHR_gaussian_splatting"
    assert np.array_equal(values(f"{own}:ROTATION"), np.tile([0, 0, 0, 1], (len(values("POSITION")), 1)))
    colors = values(f"{own}:SH_DEGREE_0_COEF_0") * SH_C0 + 0.5
    read = Read(values("POSITION"), values(f"{own}:SCALE"), values(f"{own}:OPACITY")[:, 0], colors)
    return read, primitive["extensions"][own]


def read_spz(path: Path) -> tuple[Read, int]:
    """Splats without harmonics of an ``.spz`` of version 4, and how many bits of a position are a fraction."""
    import zstandard

    data = path.read_bytes()
    magic, version, n, degree, bits, _, streams, table = struct.unpack_from("<4sIIBBBBI", data)
    assert (magic, version, degree, streams) == (b"NGSP", 4, 0, 5)
    at, parts = table + 16 * streams, []
    for k in range(streams):
        packed, plain = struct.unpack_from("<QQ", data, table + 16 * k)
        parts.append(zstandard.ZstdDecompressor().decompress(data[at : at + packed], plain))
        at += packed
    assert at == len(data)
    low, middle, high = np.frombuffer(parts[0], np.uint8).reshape(3 * n, 3).T.astype(np.int32)
    fixed = low | middle << 8 | high << 16
    fixed -= (fixed >= 1 << 23) * (1 << 24)
    colors = np.frombuffer(parts[2], np.uint8).reshape(n, 3)
    sh0 = (colors / 255 - 0.5) / 0.15
    assert {part for part in np.frombuffer(parts[4], "<u4").tolist()} == {3 << 30}  # w is the largest, the rest 0
    scales = np.exp(np.frombuffer(parts[3], np.uint8).reshape(n, 3) / 16 - 10)
    return Read(fixed.reshape(n, 3) / 2**bits, scales, np.frombuffer(parts[1], np.uint8) / 255, sh0 * SH_C0 + 0.5), bits


def read_sog(path: Path) -> Read:
    """Splats without harmonics of a bundled ``.sog`` of version 2."""
    from PIL import Image

    with zipfile.ZipFile(path) as file:
        meta = json.loads(file.read("meta.json"))
        n = meta["count"]
        assert meta["version"] == 2

        def picture(name: str) -> Array:
            with Image.open(io.BytesIO(file.read(name))) as image:
                return np.asarray(image.convert("RGBA")).reshape(-1, 4)[:n].astype(np.int64)

        low, high = (picture(name) for name in meta["means"]["files"])
        quats = picture(meta["quats"]["files"][0])
        scales, sh0 = (picture(meta[name]["files"][0]) for name in ("scales", "sh0"))
    least, most = (np.array(meta["means"][name]) for name in ("mins", "maxs"))
    logged = least + (high[:, :3] * 256 + low[:, :3]) / 65535 * (most - least)
    assert set(quats[:, 3].tolist()) == {252} and np.abs(quats[:, :3] - 127.5).max() <= 0.5  # w largest, the rest 0
    sizes = np.exp(np.array(meta["scales"]["codebook"])[scales[:, :3]])
    colors = np.array(meta["sh0"]["codebook"])[sh0[:, :3]] * SH_C0 + 0.5
    return Read(np.sign(logged) * np.expm1(np.abs(logged)), sizes, sh0[:, 3] / 255, colors)
