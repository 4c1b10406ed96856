"""Textures that repeat without a seam: fur, stripes, patches, tiles, planks, dots, and photo-like clutter."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np

from .meshes import Floats
from .random_choices import SceneRng

Texture = Floats
"""``(S, S, 3)`` RGB in ``[0, 1]``."""


def random_texture(
    rng: SceneRng, side: int, hue: float | None = None, kinds: tuple[str, ...] | None = None, calm: bool = False
) -> Texture:
    """Paints a texture ``(side, side, 3)`` of a random pattern.

    Args:
        rng: Source of all choices.
        side: Width and height in pixels, a power of two.
        hue: Middle of the palette in ``[0, 1]``; random when None.
        kinds: Names of ``PATTERNS`` to choose from; all when None.
        calm: Dull colours with little contrast, as behind a subject.
    """
    palette = _palette(rng, hue, 0.4 if calm else 0.85)
    texture = PATTERNS[rng.choice(kinds or tuple(PATTERNS))](rng, side, palette)
    if calm:
        middle = texture.mean((0, 1))
        texture = middle + (texture - middle) * rng.uniform(0.3, 0.75)
    return _with_grain(rng, texture, rng.uniform(0.02, 0.06 if calm else 0.14))


def colored_texture(
    rng: SceneRng, side: int, pattern: str, low: tuple[float, float, float], high: tuple[float, float, float]
) -> Texture:
    """Paints a texture ``(side, side, 3)`` of a pattern in colours from ``low`` to ``high``."""
    return _with_grain(rng, PATTERNS[pattern](rng, side, np.linspace(low, high, 4, dtype=np.float32)), 0.05)


def _with_grain(rng: SceneRng, texture: Texture, strength: float) -> Texture:
    grain = strength * spectrum_noise(rng, len(texture), rng.uniform(0.6, 1.3))
    return np.asarray(np.clip(texture * (1 + grain[..., None]) + 0.25 * grain[..., None], 0.01, 1), np.float32)


def spectrum_noise(rng: SceneRng, side: int, slope: float, lowest: float = 1.0, stretch: float = 1.0) -> Texture:
    """Noise ``(side, side)`` of mean 0 and variance 1 whose amplitude falls with frequency to the power ``-slope``.

    Args:
        rng: Source.
        side: Size.
        slope: 0 is white, 1 like photographs, 2 soft clouds.
        lowest: Waves longer than ``side / lowest`` are weak.
        stretch: How much longer than wide the grain is.
    """
    fy, fx = np.fft.fftfreq(side, 1 / side)[:, None], np.fft.rfftfreq(side, 1 / side)[None]
    frequency = np.sqrt((fy * stretch) ** 2 + (fx / stretch) ** 2)
    gain = np.maximum(frequency, lowest) ** -slope * (frequency > 0)
    noise = np.fft.irfft2(np.fft.rfft2(rng.normals(side, side)) * gain, (side, side))
    return np.asarray(noise / (noise.std() + 1e-9), np.float32)


def _palette(rng: SceneRng, hue: float | None, richest: float = 0.85) -> Texture:
    """Four colours ``(4, 3)`` that go together, from dark to light or contrasting."""
    hue = rng.choice((rng.uniform(0, 1), rng.uniform(0.02, 0.14), rng.uniform(0.2, 0.4))) if hue is None else hue
    rich, colors = rng.uniform(0.1, richest), []
    spread = rng.choice((0.04, 0.1, 0.35))
    lightness = [0.18, 0.45, 0.68, 0.92]
    for light in lightness:
        h = (hue + rng.uniform(-spread, spread)) % 1
        colors.append(colorsys.hsv_to_rgb(h, min(1.0, rich * rng.uniform(0.6, 1.2)), light * rng.uniform(0.85, 1.1)))
    if rng.chance(0.3):  # an accent
        colors[rng.integer(0, 3)] = colorsys.hsv_to_rgb((hue + 0.5) % 1, 0.8, 0.8)
    return np.clip(np.array(colors, np.float32), 0, 1)


def _ramp(palette: Texture, amount: Texture) -> Texture:
    """Colours along the palette by ``amount`` in ``[0, 1]``."""
    at = np.clip(amount, 0, 1) * (len(palette) - 1)
    low = np.minimum(at.astype(int), len(palette) - 2)
    mix = (at - low)[..., None]
    return np.asarray(palette[low] * (1 - mix) + palette[low + 1] * mix)


def _places(side: int) -> tuple[Texture, Texture]:
    at = (np.arange(side, dtype=np.float32) + 0.5) / side
    return np.meshgrid(at, at)


def _fur(rng: SceneRng, side: int, palette: Texture) -> Texture:
    noise = spectrum_noise(rng, side, rng.uniform(0.8, 1.6), rng.uniform(1, 4), rng.choice((1.0, 1.0, 2.0)))
    return _ramp(palette, 0.5 + rng.uniform(0.2, 0.32) * noise)


def _stripes(rng: SceneRng, side: int, palette: Texture) -> Texture:
    x, y = _places(side)
    fx, fy = rng.choice(((0, 1), (1, 0), (0, 1), (1, 1), (1, -1), (1, 2)))
    waves = rng.integer(2, 5)
    wobble = rng.uniform(0.0, 0.9) * spectrum_noise(rng, side, 2.0, 2)
    wave = np.sin(2 * np.pi * waves * (fx * x + fy * y) + wobble)
    band = 0.5 + 0.5 * np.tanh(wave * rng.choice((1.0, 4.0, 10.0)) + rng.uniform(-0.8, 0.8))
    first, second = _two(rng, palette)
    return first + band[..., None] * (second - first)


def _patches(rng: SceneRng, side: int, palette: Texture) -> Texture:
    noise = spectrum_noise(rng, side, 2.2, rng.uniform(1.5, 4))
    edge = 1 / (1 + np.exp(-(noise - rng.uniform(-0.5, 0.5)) * 14))
    first, second = _two(rng, palette)
    return np.asarray(first + edge[..., None] * (second - first))


def _cells(rng: SceneRng, side: int, palette: Texture) -> Texture:
    """Giraffe, cobbles, mosaic: the nearest of some seeds, with or without joints."""
    x, y = _places(side)
    seeds, (near, next_near) = (
        rng.uniforms(rng.integer(12, 36), 2),
        (np.full((side, side), 9.0, np.float32) for _ in "ab"),
    )
    owner = np.zeros((side, side), int)
    for i, (sx, sy) in enumerate(seeds):
        dx, dy = np.abs(x - sx), np.abs(y - sy)
        away = np.minimum(dx, 1 - dx) ** 2 + np.minimum(dy, 1 - dy) ** 2
        closer = away < near
        next_near = np.where(closer, near, np.minimum(next_near, away))
        owner[closer] = i
        near = np.where(closer, away, near)
    colors = _ramp(palette, 0.5 + 0.45 * np.tanh(rng.normals(len(seeds))))
    joint = np.clip((np.sqrt(next_near) - np.sqrt(near)) / 0.035, 0, 1)[..., None] if rng.chance(0.6) else 1.0
    return np.asarray(colors[owner] * joint + palette[rng.choice((0, 3))] * (1 - joint))


def _tiles(rng: SceneRng, side: int, palette: Texture) -> Texture:
    """Bricks, flagstones or a chessboard, each stone of its own shade."""
    x, y = _places(side)
    columns, rows = rng.choice(((2, 4), (4, 8), (4, 4), (3, 3), (2, 2)))
    row = np.floor(y * rows).astype(int)
    shifted = x * columns + (row % 2) * rng.choice((0.0, 0.5))
    column = np.floor(shifted).astype(int) % columns
    shade = rng.uniforms(rows, columns)
    if rng.chance(0.3):
        shade = 0.75 * ((np.arange(rows)[:, None] + np.arange(columns)) % 2) + 0.25 * shade
    inside = np.minimum(*(np.minimum(f, 1 - f) * s for f, s in ((shifted % 1, 1 / columns), (y * rows % 1, 1 / rows))))
    joint = np.clip(inside / rng.uniform(0.006, 0.03), 0, 1)[..., None]
    dark = palette[rng.choice((0, 3))]
    return np.asarray(_ramp(palette[1:], shade[row, column]) * joint + dark * (1 - joint))


def _planks(rng: SceneRng, side: int, palette: Texture) -> Texture:
    x, y = _places(side)
    rows = rng.integer(3, 6)
    row = np.floor(y * rows).astype(int)
    grain = spectrum_noise(rng, side, 1.2, 2, 4.0)
    wood = _ramp(palette, 0.3 + 0.4 * rng.uniforms(rows)[row] + 0.14 * grain)
    gap = np.clip(np.minimum(y * rows % 1, 1 - y * rows % 1) / 0.08, 0.25, 1)
    return np.asarray(wood * gap[..., None])


def _dots(rng: SceneRng, side: int, palette: Texture) -> Texture:
    first, second = _two(rng, palette)
    texture = np.broadcast_to(first, (side, side, 3)).copy()
    count = rng.integer(2, 5)
    x, y = _places(side)
    fx, fy = (x * count) % 1 - 0.5, (y * count + 0.5 * (np.floor(x * count) % 2)) % 1 - 0.5
    disc = 1 / (1 + np.exp((np.sqrt(fx**2 + fy**2) - rng.uniform(0.2, 0.36)) * 40))
    return texture + disc[..., None] * (second - first)


def _clutter(rng: SceneRng, side: int, palette: Texture) -> Texture:
    """Leaves fallen over one another, of all sizes: edges and areas as photographs have them."""
    texture = _ramp(palette, 0.5 + 0.25 * spectrum_noise(rng, side, 1.3))
    tone = np.concatenate([palette, _palette(rng, None)])
    light = 1 + 0.25 * spectrum_noise(rng, side, 1.0)
    x, y = _places(side)
    for size in np.sort(0.03 + 0.25 * rng.uniforms(rng.integer(25, 60)) ** 2.5)[::-1]:
        cx, cy, angle, slim = *rng.uniforms(2), rng.uniform(0, np.pi), rng.uniform(0.35, 1)
        dx, dy = (x - cx + 0.5) % 1 - 0.5, (y - cy + 0.5) % 1 - 0.5
        u, v = np.cos(angle) * dx + np.sin(angle) * dy, (np.cos(angle) * dy - np.sin(angle) * dx) / slim
        inside = u * u + v * v < size**2 if rng.chance(0.6) else np.maximum(np.abs(u), np.abs(v)) < 0.8 * size
        shade = light[inside][:, None] * (1 + rng.uniform(-2, 2) * u[inside][:, None])
        texture[inside] = np.clip(tone[rng.integer(0, 7)] * shade, 0, 1)
    return texture


def _gradient(rng: SceneRng, side: int, palette: Texture) -> Texture:
    x, y = _places(side)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.choice((0, 1)) * x + y) + rng.uniform(0, 6))
    return _ramp(palette, 0.85 * wave + 0.08 + 0.05 * spectrum_noise(rng, side, 1.5))


def _weave(rng: SceneRng, side: int, palette: Texture) -> Texture:
    """Checked cloth: bands of several widths both ways."""
    threads = 24
    warp, weft = (_ramp(palette, np.repeat(rng.uniforms(threads // 3), 3)) for _ in "ab")
    at = np.arange(side) * threads // side
    over = ((np.arange(side)[:, None] // 2 + np.arange(side) // 2) % 2)[..., None]
    return warp[at][None] * (0.35 + 0.3 * over) + weft[at][:, None] * (0.65 - 0.3 * over)


def _two(rng: SceneRng, palette: Texture) -> tuple[Texture, Texture]:
    """Two colours of the palette that differ well."""
    first, second = rng.choice(((0, 2), (0, 3), (1, 3), (3, 0), (3, 1), (2, 0)))
    return palette[first], palette[second]


PATTERNS: dict[str, Callable[[SceneRng, int, Texture], Texture]] = {
    "fur": _fur,
    "stripes": _stripes,
    "patches": _patches,
    "cells": _cells,
    "tiles": _tiles,
    "planks": _planks,
    "dots": _dots,
    "clutter": _clutter,
    "gradient": _gradient,
    "weave": _weave,
}
"""Kinds of texture, by name."""


def sky(rng: SceneRng, side: int) -> Texture:
    """Clouds or dusk, lighter toward the horizon at half the height."""
    _, y = _places(side)
    high = np.array(colorsys.hsv_to_rgb(rng.uniform(0.5, 0.7), rng.uniform(0.2, 0.7), rng.uniform(0.5, 0.95)))
    low = np.array(colorsys.hsv_to_rgb(rng.uniform(0, 1), rng.uniform(0.05, 0.3), rng.uniform(0.75, 0.98)))
    rise = np.clip(1 - np.abs(y - 0.5) * 3, 0, 1)[..., None]
    clouds = 1 / (1 + np.exp(-3 * (spectrum_noise(rng, side, 1.7, 2, 0.7) - rng.uniform(-0.5, 1.2))))
    blue = high * (1 - rise) + low * rise
    return np.asarray(np.clip(blue + (0.96 - blue) * 0.8 * clouds[..., None], 0, 1), np.float32)
