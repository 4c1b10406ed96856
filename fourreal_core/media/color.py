"""Colours of videos that are not BT.709: high dynamic range tone-mapped, wide primaries converted.

What a display of the source would show is computed as light, brought to the primaries and the range of a BT.709
display, and encoded for that. Sources: ITU-R BT.2100 (PQ and HLG), BT.2087 (primaries), BT.2390 section 5.4.1 (the tone
curve), BT.2408 (203 cd/m2 as the white of ordinary pictures).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

SDR_WHITE = 203.0
"""Light in cd/m2 that becomes white."""
HDR_PEAK = 1000.0
"""Brightest light in cd/m2 of HLG, and of PQ that does not say its own."""
LINEAR, PQ, HLG = 8, 16, 18
"""Transfer characteristics by their code in ITU-T H.273."""
UNSPECIFIED, BT2020, _DCI_P3, _DISPLAY_P3 = 2, 9, 11, 12
_DISPLAY_GAMMA = 2.4  # BT.1886
_HLG_GAMMA = 1.2  # of a display of 1000 cd/m2
_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    1: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    _DCI_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    _DISPLAY_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}


@dataclass(frozen=True)
class ColorTags:
    """What a frame says of its colours.

    Attributes:
        transfer: Transfer characteristics, a code of ITU-T H.273.
        primaries: Colour primaries, a code of ITU-T H.273.
        peak: Brightest light in cd/m2 that the content claims, for PQ.
    """

    transfer: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    peak: float = HDR_PEAK

    @property
    def hdr(self) -> bool:
        """Whether the range is a high one."""
        return self.transfer in (PQ, HLG)

    @property
    def wide(self) -> bool:
        """Whether the primaries are those of BT.2020, also where only the transfer tells."""
        return self.primaries == BT2020 or (self.hdr and self.primaries == UNSPECIFIED)

    @property
    def ordinary(self) -> bool:
        """Whether a player shows the values as they are: BT.709, BT.601 and whatever is not told."""
        return self.transfer not in (LINEAR, PQ, HLG) and self.primaries not in (BT2020, _DCI_P3, _DISPLAY_P3)


def to_bt709(rgb: np.ndarray, tags: ColorTags) -> np.ndarray:
    """Pictures of other transfers and primaries as a BT.709 display shows them.

    Args:
        rgb: ``(H, W, 3)`` uint16, full range.
        tags: What the values mean.

    Returns:
        ``(H, W, 3)`` uint8. Light up to the start of the tone curve's knee is kept, what is brighter is compressed so
        that the peak becomes white; hue is kept except outside BT.709's gamut, where negative light is cut off.
    """
    light = _light(tags.transfer)[rgb]
    if tags.transfer == HLG:  # the opto-optical transfer function: scene light to display light
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light = light * (HDR_PEAK * np.maximum(luminance, 1e-9) ** np.float32(_HLG_GAMMA - 1))[..., None]
    primaries = BT2020 if tags.wide else tags.primaries
    if primaries in _PRIMARIES and primaries != 1:
        light = light @ np.array(primaries_matrix(primaries), np.float32).T
    light = np.maximum(light, 0)
    if tags.hdr:
        brightest = np.maximum(light.max(-1), 1e-6)
        light = light * (tone_curve(brightest, HDR_PEAK if tags.transfer == HLG else tags.peak) / brightest)[..., None]
    shown = np.clip(light / np.float32(SDR_WHITE), 0, 1) ** np.float32(1 / _DISPLAY_GAMMA)
    rounded: np.ndarray = (shown * 255 + np.float32(0.5)).astype(np.uint8)
    return rounded


def tone_curve(light: np.ndarray, peak: float, white: float = SDR_WHITE) -> np.ndarray:
    """Light in cd/m2 up to ``peak`` brought to at most ``white``: the EETF of ITU-R BT.2390, section 5.4.1.

    The curve is the identity up to its knee and a Hermite spline above it, both in PQ's perceptual scale.
    """
    if peak <= white:
        cut: np.ndarray = np.minimum(light, white)
        return cut
    top = float(pq_encode(np.array(peak)))
    ceiling = float(pq_encode(np.array(white))) / top
    knee = 1.5 * ceiling - 0.5
    e = np.clip(pq_encode(light) / top, 0, 1)
    t = np.maximum((e - knee) / (1 - knee), 0)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * ceiling
    return np.asarray(np.where(e < knee, light, pq_decode(spline * top)), light.dtype)


def pq_encode(light: np.ndarray) -> np.ndarray:
    """Light in cd/m2 as a PQ signal in ``[0, 1]`` (ITU-R BT.2100)."""
    power = (np.maximum(light, 0) / 10000) ** (2610 / 16384)
    coded: np.ndarray = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    return coded


def pq_decode(signal: np.ndarray) -> np.ndarray:
    """A PQ signal in ``[0, 1]`` as light in cd/m2 (ITU-R BT.2100)."""
    power = np.clip(signal, 0, 1) ** (32 / 2523)
    light: np.ndarray = 10000 * (np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)) ** (
        16384 / 2610
    )
    return light


def hlg_decode(signal: np.ndarray) -> np.ndarray:
    """An HLG signal in ``[0, 1]`` as scene light in ``[0, 1]`` (ITU-R BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


@lru_cache(maxsize=8)
def primaries_matrix(primaries: int) -> tuple[tuple[float, ...], ...]:
    """Linear RGB of other primaries to linear RGB of BT.709, both with white D65, as rows."""
    matrix = np.linalg.inv(_rgb_to_xyz(1)) @ _rgb_to_xyz(primaries)
    return tuple(tuple(float(x) for x in row) for row in matrix)


def _rgb_to_xyz(primaries: int) -> np.ndarray:
    columns = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in _PRIMARIES[primaries]]).T
    white = np.array([_D65[0] / _D65[1], 1.0, (1 - sum(_D65)) / _D65[1]])
    scaled: np.ndarray = columns * np.linalg.solve(columns, white)
    return scaled


@lru_cache(maxsize=4)
def _light(transfer: int) -> np.ndarray:
    """Light of all 16-bit values: cd/m2, but of HLG scene light, which is taken on by the whole pixel."""
    signal = np.arange(65536) / 65535
    if transfer == PQ:
        light = pq_decode(signal)
    elif transfer == HLG:
        light = hlg_decode(signal)
    else:
        light = SDR_WHITE * (signal if transfer == LINEAR else signal**_DISPLAY_GAMMA)
    return light.astype(np.float32)
