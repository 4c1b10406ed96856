"""Sizes and choices of the video DiT and of the 4D model around it; saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from ..errors import InputError
from .shown_planes import ShownPlanes, with_choice
from .sync import SyncSpec, kept_layers

PREDICTIONS = ("velocity", "clean")
STEMS = ("linear", "conv", "differences")
HEADS = ("linear", "conv", "warp", "pull")
SEQUENTIAL = ("sequential", "sequential_cross_time", "sequential_temporal")
PARALLEL = ("identity", "hard", "soft", "hard_trained", "soft_trained")
MODEL_VARIANTS = (*SEQUENTIAL, *PARALLEL, "fused")
"""Every way to run a video model on a grid.

``sequential``: one stream, each block along the rows and then along the columns. Of its trained kinds, ``cross_time``
tunes the attention along the rows alone, in a copy of its own, and ``temporal`` tunes the base's one attention, which
serves both directions. The parallel ones are named by their sync rule. ``fused``: one stream, one attention over a
token's frame, row and column.
"""


@dataclass(frozen=True)
class DiTSpec:
    """A masked video DiT.

    Attributes:
        channels: Channels of a fine pixel: 3 for RGB, or those of a VAE's latents.
        subpixel: Side of the block of fine pixels that a latent pixel holds in its channels (see codec.SpaceToDepth).
        width: D of the tokens.
        layers: Blocks.
        heads: Attention heads.
        patch: Fine pixels along a side of a token.
        mlp_ratio: Hidden width of a block's MLP over D.
        stem: ``linear`` patches, ``conv``: a small convolution before them, or ``differences``: patches of the first
            proposal, of what every other picture differs by from it, and of the maps.
        head: ``linear`` patches, ``conv``: two small convolutions after them, ``warp``: convolutions that also give
            offsets at which the known cells are sampled, or ``pull``: patches drawn upon the first proposal, which is
            also pulled toward the other pictures. ``differences`` and ``pull`` go together (see differences).
        conv_width: Channels of the convolutions, each of which spans 2 x 2 fine pixels.
        conv_depth: Residual blocks of convolutions in a conv stem and in a convolving head, each at half and at a
            quarter of the resolution; 0 for single convolutions.
        sources: Whether each cell sees the nearest known cell of its row and of its column, and may copy from them.
        proposals: Names of the planes that each cell is shown of itself, in the order of the channels (see
            shown_planes). It sees them all and may copy from them, unless it chooses.
        chooser: Channels of a network that chooses among the candidates within the planes (see chooser.Chooser); the
            rest of the model sees its choice in place of the first plane, and none of the candidates; behind a stem of
            ``differences`` it sees the choice, all planes, and how sure the choice is. 0 for none.
        lead: Logit by which the first proposal leads in the copy gates, so that training starts from it.
        prediction: What comes out: the ``velocity``, or the ``clean`` latents, from which the velocity follows.
        text_width: Width of text tokens; 0 for a model without text.
        axis_embedding: Whether blocks receive an embedding of the axis that they run along.
    """

    channels: int = 3
    subpixel: int = 1
    width: int = 320
    layers: int = 6
    heads: int = 5
    patch: int = 8
    mlp_ratio: int = 4
    stem: str = "conv"
    head: str = "warp"
    conv_width: int = 32
    conv_depth: int = 0
    sources: bool = True
    proposals: tuple[str, ...] = ()
    chooser: int = 0
    lead: float = 0.0
    prediction: str = "clean"
    text_width: int = 0
    axis_embedding: bool = True

    def __post_init__(self) -> None:
        for name, allowed in (("stem", STEMS), ("head", HEADS), ("prediction", PREDICTIONS)):
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} {getattr(self, name)!r}", "one of " + ", ".join(allowed), "choose one of them"
                )
        sizes = (
            self.channels,
            self.subpixel,
            self.width,
            self.layers,
            self.heads,
            self.patch,
            self.mlp_ratio,
            self.conv_width,
        )
        least = min(self.text_width, self.conv_depth, self.chooser)
        if min(sizes) < 1 or least < 0 or self.width % self.heads or self.head_width % 2:
            raise InputError(
                f"a DiT of {self.layers} layers, width {self.width}, {self.heads} heads, patch {self.patch}",
                "positive sizes, and a width that heads divide into even parts",
                "choose other sizes",
            )
        if self.head_width < 6:
            raise InputError(
                f"heads of width {self.head_width}",
                "at least 6: two for each of frame, y and x",
                "choose fewer heads or a larger width",
            )
        convolves = self.stem == "conv" or self.head in ("conv", "warp")
        if self.patch % self.subpixel or (self.patch % 2 and convolves):
            raise InputError(
                f"patches of {self.patch} fine pixels with {self.subpixel} to a latent pixel and a {self.stem} stem",
                "whole latent pixels in a patch, and an even patch for convolutions",
                "choose another patch",
            )
        if self.conv_depth and self.patch % 4:
            raise InputError(
                f"patches of {self.patch} fine pixels for deep convolutions",
                "a multiple of 4",
                "choose another patch, or conv_depth 0",
            )
        self._check_pictures()

    def _check_pictures(self) -> None:
        """Raises InputError where there are not the pictures that parts build on."""
        if self.chooser and (not self.planes.candidates or self.channels != 3):
            raise InputError(
                f"a chooser for {len(self.proposals)} proposals of {self.channels} channels",
                "proposals in RGB, candidates among them",
                "change proposals, or chooser to 0",
            )
        if self.head == "warp" and not self.copies:
            raise InputError("a warp head with nothing to sample", "sources or a proposal", "switch one of them on")
        together = (self.stem == "differences", self.head == "pull")
        if any(together) and (not all(together) or not self.proposals or self.prediction != "clean"):
            raise InputError(
                f"a {self.stem} stem, a {self.head} head and {len(self.proposals)} proposals, for {self.prediction}",
                "`differences` and `pull` together, with proposals, for clean",
                "change model.stem, model.head, model.proposals or model.prediction",
            )

    @property
    def latent_channels(self) -> int:
        """Channels of the latents that go in and come out."""
        return self.channels * self.subpixel**2

    @property
    def head_width(self) -> int:
        """Width of an attention head."""
        return self.width // self.heads

    @property
    def copies(self) -> int:
        """Pictures that a cell may copy from."""
        return 2 * self.sources + self.shown

    @cached_property
    def planes(self) -> ShownPlanes:
        """The proposals, read by name."""
        return ShownPlanes(self.proposals)

    @cached_property
    def shown_planes(self) -> ShownPlanes:
        """The proposals that the model sees behind its chooser, if it has one."""
        if not self.chooser:
            return self.planes
        if self.stem == "differences":
            return ShownPlanes(with_choice(self.proposals))
        return ShownPlanes(self.planes.names_beside)

    @property
    def shown(self) -> int:
        """How many proposals the model sees behind its chooser."""
        return len(self.shown_planes.names)

    @property
    def most_planes(self) -> int:
        """How many planes may be given: all before the choice, or what is shown behind it."""
        return max(len(self.proposals), self.shown)

    @property
    def first_proposal(self) -> int:
        """Which of the pictures that may be copied is the first proposal: known cells are before it."""
        return 2 * self.sources

    @cached_property
    def pulled(self) -> tuple[int, ...]:
        """Toward which pictures a pull head pulls the first proposal: all others; maps are none."""
        before = self.first_proposal
        return (*range(before), *(before + k for k in self.shown_planes.pictures if k))

    @property
    def input_channels(self) -> int:
        """Channels of a fine pixel going in: the noisy latents, the known mask, and each picture with its flag; a stem
        of differences shows no flags, since what isn't there doesn't differ."""
        flags = self.stem != "differences"
        return self.channels + 1 + self.copies * (self.channels + flags)


@dataclass(frozen=True)
class Model4DSpec:
    """A video DiT and the way it is run on a grid.

    Attributes:
        dit: The base model.
        variant: One of MODEL_VARIANTS.
        dropped: Sync layers left out: ``none``, the ``first`` or the ``last`` third.
        sync_rank: Rank of trained sync maps, see SyncSpec.
    """

    dit: DiTSpec = field(default_factory=DiTSpec)
    variant: str = "soft_trained"
    dropped: str = "none"
    sync_rank: int = 0

    def __post_init__(self) -> None:
        if self.variant not in MODEL_VARIANTS:
            raise InputError(
                f"a model variant {self.variant!r}", "one of " + ", ".join(MODEL_VARIANTS), "choose one of them"
            )
        kept_layers(self.dit.layers, self.dropped)

    @property
    def sync(self) -> SyncSpec:
        """The sync layers; ``identity`` where there is one stream."""
        first, end = kept_layers(self.dit.layers, self.dropped)
        variant = self.variant if self.variant in PARALLEL else "identity"
        return SyncSpec(variant, self.dit.layers, self.dit.width, self.sync_rank, first, end)
