"""Captions to text tokens, by the text encoder of a base model (T5 for LTX-Video, UMT5 for Wan)."""

from __future__ import annotations

import html

import torch
from torch import Tensor

from ..errors import InputError


class CaptionEncoder:
    """A text encoder that ``transformers`` saved, as pipelines of diffusers come with.

    Args:
        encoder: Folder or Hub name of a ``T5EncoderModel`` or ``UMT5EncoderModel``.
        tokenizer: Folder or Hub name of its tokenizer.
        longest: Tokens at which a caption is cut off.
        device: Where it runs.
        dtype: Of its weights.

    Raises:
        InputError: No such encoder or tokenizer.

    Attributes:
        width: Of a token.
    """

    def __init__(
        self,
        encoder: str,
        tokenizer: str,
        longest: int,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        try:
            import transformers

            kind = str(getattr(transformers.AutoConfig.from_pretrained(encoder), "model_type", ""))
            family = {"t5": "T5EncoderModel", "umt5": "UMT5EncoderModel"}.get(kind)
            if family is None:
                raise InputError(
                    f"the text encoder {encoder} of the kind {kind!r}", "t5 or umt5", "choose the base's own"
                )
            model = getattr(transformers, family).from_pretrained(encoder, torch_dtype=dtype, use_safetensors=True)
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer)
        except InputError:
            raise
        except Exception as err:  # a missing package, file or key: each library has errors of its own
            why = (str(err).strip().splitlines() or [type(err).__name__])[0]
            raise InputError(
                f"the text encoder {encoder} with the tokenizer {tokenizer} can't be read ({why})",
                "both as diffusers' pipelines keep them",
                "check base.text_encoder and base.tokenizer, and that transformers and sentencepiece are installed",
            ) from err
        self.model = model.requires_grad_(False).eval().to(device or torch.device("cpu"))
        self.longest, self.width = longest, int(model.config.d_model)

    @torch.no_grad()
    def encode(self, caption: str) -> Tensor:
        """Text tokens ``(L, width)`` of a caption without padding, float32 on the CPU."""
        words = " ".join(html.unescape(html.unescape(caption)).split())
        made = self.tokenizer(words, truncation=True, max_length=self.longest, return_tensors="pt")
        device = self.model.device
        states = self.model(made.input_ids.to(device), made.attention_mask.to(device)).last_hidden_state
        text: Tensor = states[0].float().cpu()
        return text
