"""Painted pictures that repeat without a seam: fur, stripes, patches, tiles, planks, dots, and photo-like clutter."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .random_choices import SceneRng

Picture = NDArray[np.float32]
"""``(S, S, 3)`` RGB in ``[0, 1]``."""


def paint(
    dice: SceneRng, side: int, hue: float | None = None, kinds: tuple[str, ...] | None = None, calm: bool = False
) -> Picture:
    """Paints a picture ``(side, side, 3)`` of a random kind.

    Args:
        dice: Source of all choices.
        side: Width and height in pixels, a power of two.
        hue: Middle of the palette in ``[0, 1]``; random when None.
        kinds: Names of ``KINDS`` to choose from; all when None.
        calm: Dull colours with little contrast, as behind a subject.
    """
    palette = _palette(dice, hue, 0.4 if calm else 0.85)
    picture = KINDS[dice.pick(kinds or tuple(KINDS))](dice, side, palette)
    if calm:
        middle = picture.mean((0, 1))
        picture = middle + (picture - middle) * dice.uniform(0.3, 0.75)
    grain = dice.uniform(0.02, 0.06 if calm else 0.14) * spectrum_noise(dice, side, dice.uniform(0.6, 1.3))
    return np.clip(picture * (1 + grain[..., None]) + 0.25 * grain[..., None], 0.01, 1).astype(np.float32)


def spectrum_noise(dice: SceneRng, side: int, slope: float, lowest: float = 1.0, stretch: float = 1.0) -> Picture:
    """Noise ``(side, side)`` of mean 0 and variance 1 whose amplitude falls with frequency to the power ``-slope``.

    Args:
        dice: Source.
        side: Size.
        slope: 0 is white, 1 like photographs, 2 soft clouds.
        lowest: Waves longer than ``side / lowest`` are weak.
        stretch: How much longer than wide the grain is.
    """
    fy, fx = np.fft.fftfreq(side, 1 / side)[:, None], np.fft.rfftfreq(side, 1 / side)[None]
    frequency = np.sqrt((fy * stretch) ** 2 + (fx / stretch) ** 2)
    gain = np.maximum(frequency, lowest) ** -slope * (frequency > 0)
    noise = np.fft.irfft2(np.fft.rfft2(dice.numbers(side, side)) * gain, (side, side))
    return (noise / (noise.std() + 1e-9)).astype(np.float32)


def _palette(dice: SceneRng, hue: float | None, richest: float = 0.85) -> Picture:
    """Four colours ``(4, 3)`` that go together, from dark to light or contrasting."""
    hue = dice.pick((dice.uniform(0, 1), dice.uniform(0.02, 0.14), dice.uniform(0.2, 0.4))) if hue is None else hue
    rich, colors = dice.uniform(0.1, richest), []
    spread = dice.pick((0.04, 0.1, 0.35))
    lightness = [0.18, 0.45, 0.68, 0.92]
    for light in lightness:
        h = (hue + dice.uniform(-spread, spread)) % 1
        colors.append(colorsys.hsv_to_rgb(h, min(1.0, rich * dice.uniform(0.6, 1.2)), light * dice.uniform(0.85, 1.1)))
    if dice.chance(0.3):  # an accent
        colors[dice.whole(0, 3)] = colorsys.hsv_to_rgb((hue + 0.5) % 1, 0.8, 0.8)
    return np.clip(np.array(colors, np.float32), 0, 1)


def _ramp(palette: Picture, amount: Picture) -> Picture:
    """Colours along the palette by ``amount`` in ``[0, 1]``."""
    at = np.clip(amount, 0, 1) * (len(palette) - 1)
    low = np.minimum(at.astype(int), len(palette) - 2)
    mix = (at - low)[..., None]
    return palette[low] * (1 - mix) + palette[low + 1] * mix


def _places(side: int) -> tuple[Picture, Picture]:
    at = (np.arange(side, dtype=np.float32) + 0.5) / side
    return np.meshgrid(at, at)


def _fur(dice: SceneRng, side: int, palette: Picture) -> Picture:
    noise = spectrum_noise(dice, side, dice.uniform(0.8, 1.6), dice.uniform(1, 4), dice.pick((1.0, 1.0, 2.0)))
    return _ramp(palette, 0.5 + dice.uniform(0.2, 0.32) * noise)


def _stripes(dice: SceneRng, side: int, palette: Picture) -> Picture:
    x, y = _places(side)
    fx, fy = dice.pick(((0, 1), (1, 0), (0, 1), (1, 1), (1, -1), (1, 2)))
    waves = dice.whole(2, 5)
    wobble = dice.uniform(0.0, 0.9) * spectrum_noise(dice, side, 2.0, 2)
    wave = np.sin(2 * np.pi * waves * (fx * x + fy * y) + wobble)
    band = 0.5 + 0.5 * np.tanh(wave * dice.pick((1.0, 4.0, 10.0)) + dice.uniform(-0.8, 0.8))
    first, second = _two(dice, palette)
    return first + band[..., None] * (second - first)


def _patches(dice: SceneRng, side: int, palette: Picture) -> Picture:
    noise = spectrum_noise(dice, side, 2.2, dice.uniform(1.5, 4))
    edge = 1 / (1 + np.exp(-(noise - dice.uniform(-0.5, 0.5)) * 14))
    first, second = _two(dice, palette)
    return first + edge[..., None] * (second - first)


def _cells(dice: SceneRng, side: int, palette: Picture) -> Picture:
    """Giraffe, cobbles, mosaic: the nearest of some seeds, with or without joints."""
    x, y = _places(side)
    seeds, (near, next_near) = (
        dice.shares(dice.whole(12, 36), 2),
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
    colors = _ramp(palette, 0.5 + 0.45 * np.tanh(dice.numbers(len(seeds))))
    joint = np.clip((np.sqrt(next_near) - np.sqrt(near)) / 0.035, 0, 1)[..., None] if dice.chance(0.6) else 1.0
    return colors[owner] * joint + palette[dice.pick((0, 3))] * (1 - joint)


def _tiles(dice: SceneRng, side: int, palette: Picture) -> Picture:
    """Bricks, flagstones or a chessboard, each stone of its own shade."""
    x, y = _places(side)
    columns, rows = dice.pick(((2, 4), (4, 8), (4, 4), (3, 3), (2, 2)))
    row = np.floor(y * rows).astype(int)
    shifted = x * columns + (row % 2) * dice.pick((0.0, 0.5))
    column = np.floor(shifted).astype(int) % columns
    shade = dice.shares(rows, columns)
    if dice.chance(0.3):
        shade = 0.75 * ((np.arange(rows)[:, None] + np.arange(columns)) % 2) + 0.25 * shade
    inside = np.minimum(*(np.minimum(f, 1 - f) * s for f, s in ((shifted % 1, 1 / columns), (y * rows % 1, 1 / rows))))
    joint = np.clip(inside / dice.uniform(0.006, 0.03), 0, 1)[..., None]
    dark = palette[dice.pick((0, 3))]
    return _ramp(palette[1:], shade[row, column]) * joint + dark * (1 - joint)


def _planks(dice: SceneRng, side: int, palette: Picture) -> Picture:
    x, y = _places(side)
    rows = dice.whole(3, 6)
    row = np.floor(y * rows).astype(int)
    grain = spectrum_noise(dice, side, 1.2, 2, 4.0)
    wood = _ramp(palette, 0.3 + 0.4 * dice.shares(rows)[row] + 0.14 * grain)
    gap = np.clip(np.minimum(y * rows % 1, 1 - y * rows % 1) / 0.08, 0.25, 1)
    return wood * gap[..., None]


def _dots(dice: SceneRng, side: int, palette: Picture) -> Picture:
    first, second = _two(dice, palette)
    picture = np.broadcast_to(first, (side, side, 3)).copy()
    count = dice.whole(2, 5)
    x, y = _places(side)
    fx, fy = (x * count) % 1 - 0.5, (y * count + 0.5 * (np.floor(x * count) % 2)) % 1 - 0.5
    disc = 1 / (1 + np.exp((np.sqrt(fx**2 + fy**2) - dice.uniform(0.2, 0.36)) * 40))
    return picture + disc[..., None] * (second - first)


def _clutter(dice: SceneRng, side: int, palette: Picture) -> Picture:
    """Leaves fallen over one another, of all sizes: edges and areas as photographs have them."""
    picture = _ramp(palette, 0.5 + 0.25 * spectrum_noise(dice, side, 1.3))
    tone = np.concatenate([palette, _palette(dice, None)])
    light = 1 + 0.25 * spectrum_noise(dice, side, 1.0)
    x, y = _places(side)
    for size in np.sort(0.03 + 0.25 * dice.shares(dice.whole(25, 60)) ** 2.5)[::-1]:
        cx, cy, angle, slim = *dice.shares(2), dice.uniform(0, np.pi), dice.uniform(0.35, 1)
        dx, dy = (x - cx + 0.5) % 1 - 0.5, (y - cy + 0.5) % 1 - 0.5
        u, v = np.cos(angle) * dx + np.sin(angle) * dy, (np.cos(angle) * dy - np.sin(angle) * dx) / slim
        inside = u * u + v * v < size**2 if dice.chance(0.6) else np.maximum(np.abs(u), np.abs(v)) < 0.8 * size
        shade = light[inside][:, None] * (1 + dice.uniform(-2, 2) * u[inside][:, None])
        picture[inside] = np.clip(tone[dice.whole(0, 7)] * shade, 0, 1)
    return picture


def _gradient(dice: SceneRng, side: int, palette: Picture) -> Picture:
    x, y = _places(side)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (dice.pick((0, 1)) * x + y) + dice.uniform(0, 6))
    return _ramp(palette, 0.85 * wave + 0.08 + 0.05 * spectrum_noise(dice, side, 1.5))


def _weave(dice: SceneRng, side: int, palette: Picture) -> Picture:
    """Checked cloth: bands of several widths both ways."""
    threads = 24
    warp, weft = (_ramp(palette, np.repeat(dice.shares(threads // 3), 3)) for _ in "ab")
    at = np.arange(side) * threads // side
    over = ((np.arange(side)[:, None] // 2 + np.arange(side) // 2) % 2)[..., None]
    return warp[at][None] * (0.35 + 0.3 * over) + weft[at][:, None] * (0.65 - 0.3 * over)


def _two(dice: SceneRng, palette: Picture) -> tuple[Picture, Picture]:
    """Two colours of the palette that differ well."""
    first, second = dice.pick(((0, 2), (0, 3), (1, 3), (3, 0), (3, 1), (2, 0)))
    return palette[first], palette[second]


KINDS: dict[str, Callable[[SceneRng, int, Picture], Picture]] = {
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
"""The kinds of picture, by name."""


def sky(dice: SceneRng, side: int) -> Picture:
    """Clouds or dusk, lighter toward the horizon at half the height."""
    _, y = _places(side)
    high = np.array(colorsys.hsv_to_rgb(dice.uniform(0.5, 0.7), dice.uniform(0.2, 0.7), dice.uniform(0.5, 0.95)))
    low = np.array(colorsys.hsv_to_rgb(dice.uniform(0, 1), dice.uniform(0.05, 0.3), dice.uniform(0.75, 0.98)))
    rise = np.clip(1 - np.abs(y - 0.5) * 3, 0, 1)[..., None]
    clouds = 1 / (1 + np.exp(-3 * (spectrum_noise(dice, side, 1.7, 2, 0.7) - dice.uniform(-0.5, 1.2))))
    blue = high * (1 - rise) + low * rise
    return np.clip(blue + (0.96 - blue) * 0.8 * clouds[..., None], 0, 1).astype(np.float32)
