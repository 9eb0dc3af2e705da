"""The arguments of `build` that have a class of their own, and the presets that have a name."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, Literal, get_args

from mmdata.sampling.order import Remainder
from mmdata.settings import as_dict
from mmdata.stages.clean import Clean
from mmdata.stages.normalize import Normalize
from mmdata.stages.pack import Pack, Padding, Side, require_padding, room_needed
from mmdata.stages.resampling import Interpolation
from mmdata.stages.resize import WHITE, Fit, Resize, Rgb, Size, require_size, size_of
from mmdata.tokenizers import ClipBpe, KerasTokenizer, Tokenizer
from mmdata.tokenizers.keras_tokenizer import TokenId, is_keras_tokenizer
from mmdata.tokenizers.vocabulary_learning import require_vocabulary_size

PixelsName = Literal[
    "unit",
    "signed",
    "raw",
    "uint8",
    "caffe",
    "clip",
    "siglip",
    "paligemma",
    "imagenet",
    "inception_v3",
    "resnet50",
    "vgg16",
    "efficientnet",
    "mobilenet_v3",
]
"""The names that `build(pixels=)` takes; see `PRESETS`."""

TextName = Literal["word", "wordpiece", "character", "sentencepiece", "bytepair", "byte", "clip"]
"""The names that `build(text=)` takes."""

_TOKENIZERS = get_args(TextName)
_CLEANING = {"bytepair": "light", "clip": "clip", "sentencepiece": "light"}
_LENGTH = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pixels:
    """How images become numbers.

    Attributes:
      size: (height, width) in pixels; one int is both.
      fit: "stretch", "crop" or "pad", see `Resize`.
      interpolation: "bilinear" or "bicubic", both antialiased.
      normalize: How pixels are scaled; see `Normalize`.
      background: RGB colour of padding and behind transparent pixels, 0-255.
      load_size: (height, width), at least `size`: images are resized to this first. Then `size` is
        cropped from the centre, or by `RandomCrop`. None means `size`; with `RandomCrop`, 8/7 of
        `size` (256 for 224).
      buckets: Several sizes instead of one. Each image gets the size whose aspect ratio is nearest
        to its own, and all images of a batch have one size; see `aspect_buckets`.
      max_crop: The largest share of an image that fit="crop" may cut off. An image that would lose
        more is made smaller and padded. None means 1, or 0.25 with `buckets`.
      quality: "exact" or "fast". "fast" decodes a JPEG at 1/2, 1/4 or 1/8 of its size if that is
        still at least 1.5 times the requested size. COCO photos at 80 x 80 differ from "exact" by 1
        grey level on average, and by 66 at most.

    Raises:
      ValueError: A field is out of range, or two fields exclude each other.
    """

    size: Size = (224, 224)
    fit: Fit = "stretch"
    interpolation: Interpolation = "bilinear"
    normalize: str = "unit"
    background: Rgb = WHITE
    load_size: Size | None = None
    buckets: tuple[Size, ...] = ()
    max_crop: float | None = None
    quality: Literal["exact", "fast"] = "exact"

    to_dict = as_dict

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", size_of("Pixels(size=...)", self.size))
        if self.load_size is not None:
            load_size = size_of("Pixels(load_size=...)", self.load_size)
            object.__setattr__(self, "load_size", load_size)
        Normalize(to=self.normalize)
        if self.quality not in ("exact", "fast"):
            raise ValueError(
                f'Pixels(quality=...) must be "exact" or "fast"; got {self.quality!r}.'
            )
        is_tuple = isinstance(self.buckets, tuple)
        for size in self.buckets if is_tuple else ():
            require_size("Pixels(buckets=...)", "size", size)
        if not is_tuple or len(set(self.buckets)) < len(self.buckets):
            raise ValueError(
                "Pixels(buckets=...) must be a tuple of different sizes (height, width); got "
                f"{self.buckets!r}."
            )
        if self.max_crop is not None and self.fit != "crop":
            raise ValueError(
                f'Pixels(max_crop=...) needs fit="crop"; got fit={self.fit!r}, '
                f"max_crop={self.max_crop!r}."
            )
        if self.load_size is not None:
            if self.buckets:
                raise ValueError(
                    f"Pixels(load_size=...) must be None with buckets=...; got {self.load_size!r}."
                )
            if self.load_size[0] < self.size[0] or self.load_size[1] < self.size[1]:
                raise ValueError(
                    f"Pixels(load_size=...) must be at least size={self.size!r}; got "
                    f"{self.load_size!r}."
                )
        _ = self.resize

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "Pixels":
        """The `Pixels` that a name in `build(pixels=)` means, with some fields changed.

        >>> Pixels.preset("clip", quality="fast").fit
        'crop'

        Raises:
          ValueError: The name is unknown, or a value is out of range.
          TypeError: A change does not name a field.
        """
        if name not in tuple(PRESETS):
            raise ValueError(
                f"pixels=... must be one of {list(PRESETS)} or a Pixels; got {name!r}."
            )
        return dataclasses.replace(PRESETS[name], **changes)

    @property
    def resize(self) -> Resize:
        """The stage that resizes; with `buckets`, each example has its own target size."""
        most = 0.25 if self.buckets else 1.0
        return Resize(
            size=None if self.buckets else self.load_size or self.size,
            fit=self.fit,
            interpolation=self.interpolation,
            background=self.background,
            max_crop=most if self.max_crop is None else self.max_crop,
        )

    def resized(self, image_size: int | Sequence[int]) -> "Pixels":
        """A copy with another size; `load_size` is scaled with it."""
        size = size_of("image_size=...", image_size)
        if self.load_size is None:
            return dataclasses.replace(self, size=size)
        load = zip(size, self.load_size, self.size, strict=True)
        height, width = (round(new * loaded / old) for new, loaded, old in load)
        return dataclasses.replace(self, size=size, load_size=(height, width))


PRESETS: dict[str, Pixels] = {
    **{name: Pixels(normalize=name) for name in ("unit", "signed", "raw", "uint8", "caffe")},
    "clip": Pixels(fit="crop", interpolation="bicubic", normalize="clip"),
    "siglip": Pixels(interpolation="bicubic", normalize="signed"),
    "paligemma": Pixels(interpolation="bicubic", normalize="signed"),
    "imagenet": Pixels(fit="crop", load_size=(256, 256), normalize="imagenet"),
    "inception_v3": Pixels(size=(299, 299), normalize="signed"),
    "resnet50": Pixels(normalize="caffe"),
    "vgg16": Pixels(normalize="caffe"),
    "efficientnet": Pixels(normalize="raw"),
    "mobilenet_v3": Pixels(normalize="raw"),
}
"""The names that `build(pixels=)` takes, and what they mean.

Sources: "clip": OpenAI's `clip.load`, `_transform(224)`; "siglip", "paligemma": the image
processors `SiglipImageProcessor` of google/siglip-base-patch16-224 and google/paligemma-3b-pt-224;
"imagenet": torchvision's weights, e.g. `ResNet50_Weights.IMAGENET1K_V1`; the others:
`keras.applications`, default input sizes and `preprocess_input`. There, the networks of
"efficientnet" and "mobilenet_v3" scale pixels themselves.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text:
    """How captions become ids.

    Attributes:
      clean: Cleaning before the tokenizer: a `Clean`, or the name of one of its presets. "auto"
        cleans as the tokenizer expects; None leaves captions unchanged.
      tokenizer: "word", "wordpiece", "character", "sentencepiece" or "bytepair", learned from the
        training captions; "byte"; "clip", whose merges are searched in installed packages and in
        the cache of Hugging Face; a `Tokenizer`; or a tokenizer of KerasHub or an adapted
        `keras.layers.TextVectorization`, which becomes a `KerasTokenizer`. None, or
        `build(text=None)`, gives raw text: batches have the cleaned captions as strings, for a
        tokenizer in your own code; cleaning is "light" by default, and there are no lengths.
      start_id, end_id, pad_id: Only for a tokenizer of Keras: the ids of its special tokens. "auto"
        takes those that it names; None means no such token. See `KerasTokenizer`.
      vocabulary_size: The largest number of tokens, special ones included; for a tokenizer that is
        learned. `build` warns if the captions give fewer. None takes up to 8,000, without a
        warning.
      length: Tokens of a sequence, special ones included; longer captions are cut. None means the
        length of the tokenizer's model (CLIP: 77), else 32.
      padding: "length" pads sequences to `length`; "longest" pads to the longest of the batch.
      padding_side: "right" pads after a sequence; "left" pads before it, as generation needs it.
      buckets: Further lengths, below `length`. Each caption gets the shortest length that holds it,
        and all captions of a batch have one length. A stage of your own in `augment` must not make
        captions longer: they are cut to their length.
      fix_text: Whether `mmdata.read(fix_text=True)` repaired the captions. `build` sets this field;
        it does not repair anything itself.

    Raises:
      ValueError: A field has another value than these, or two fields exclude each other.
    """

    clean: Clean | str | None = "auto"
    tokenizer: str | Tokenizer | Any | None = "wordpiece"
    start_id: dataclasses.InitVar[TokenId] = "auto"
    end_id: dataclasses.InitVar[TokenId] = "auto"
    pad_id: dataclasses.InitVar[TokenId] = "auto"
    vocabulary_size: int | None = None
    length: int | None = None
    padding: Padding = "length"
    padding_side: Side = "right"
    buckets: tuple[int, ...] = ()
    # Not in the `repr`, which `Resume` compares: it does not change batches.
    fix_text: bool = dataclasses.field(default=False, repr=False)

    to_dict = as_dict

    def __post_init__(self, start_id: TokenId, end_id: TokenId, pad_id: TokenId) -> None:
        self._require_tokenizer({"start_id": start_id, "end_id": end_id, "pad_id": pad_id})
        self._require_no_lengths()
        if not (self.clean is None or isinstance(self.clean, (str, Clean))):
            raise ValueError(
                f'Text(clean=...) must be a Clean, the name of one, "auto" or None; got '
                f"{self.clean!r}."
            )
        _ = self.cleaner
        if self.length is not None and not (isinstance(self.length, int) and self.length >= 3):
            raise ValueError(
                "sequence_length=... must be an int of at least 3, for start, a token and end; got "
                f"{self.length!r}."
            )
        require_padding("Text", self.padding, self.padding_side)
        are_ints = isinstance(self.buckets, tuple) and all(isinstance(n, int) for n in self.buckets)
        lengths = (2, *self.buckets, self.sequence_length) if are_ints else ()
        ascending = all(low < high for low, high in itertools.pairwise(lengths))
        if not (are_ints and ascending) or (self.buckets and self.padding != "length"):
            raise ValueError(
                "Text(buckets=...) must be ascending lengths from 3 to below "
                f'length={self.sequence_length!r}, with padding="length"; got {self.buckets!r}, '
                f"padding={self.padding!r}."
            )
        if self.vocabulary_size is not None:
            require_vocabulary_size(self.vocabulary_size)

    def _require_tokenizer(self, ids: dict[str, TokenId]) -> None:
        """Checks the tokenizer, and replaces one of Keras by a `KerasTokenizer` with these ids."""
        tokenizer = self.tokenizer
        if not isinstance(tokenizer, (str, Tokenizer, type(None))) and is_keras_tokenizer(
            tokenizer
        ):
            object.__setattr__(self, "tokenizer", KerasTokenizer(tokenizer, **ids))
            return
        if not (tokenizer is None or isinstance(tokenizer, Tokenizer) or tokenizer in _TOKENIZERS):
            is_file = isinstance(tokenizer, str) and ("." in tokenizer or "/" in tokenizer)
            hint = (
                f" Is it a file? See tokenizers.WordPiece.load({tokenizer!r})." if is_file else ""
            )
            raise ValueError(
                f"text=... must be one of {list(_TOKENIZERS)}, a Tokenizer, a tokenizer of "
                "KerasHub, a keras.layers.TextVectorization, a Text, or None; got "
                f"{tokenizer!r}.{hint}"
            )
        if given := [f"{name}={value!r}" for name, value in ids.items() if value != "auto"]:
            raise ValueError(
                f"Text({', '.join(given)}) is only for a tokenizer of Keras; "
                f"{tokenizer!r} has its own."
            )

    def _require_no_lengths(self) -> None:
        """Raises a ValueError if raw text has a length, padding, buckets or a vocabulary size."""
        names = ("length", "padding", "padding_side", "buckets", "vocabulary_size")
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        set_names = [name for name in names if getattr(self, name) != defaults[name]]
        if self.tokenizer is None and set_names:
            given = ", ".join(f"{name}={getattr(self, name)!r}" for name in set_names)
            raise ValueError(
                "text=None gives raw text, which is not split into tokens, so it has no lengths; "
                f"got {given}."
            )

    @property
    def cleaner(self) -> Clean | None:
        """The stage that cleans; None if captions stay unchanged."""
        if self.clean != "auto":
            return Clean.preset(self.clean) if isinstance(self.clean, str) else self.clean
        if isinstance(self.tokenizer, Tokenizer):
            return Clean.preset(self.tokenizer.cleaning)
        return Clean.preset(
            "light" if self.tokenizer is None else _CLEANING.get(self.tokenizer, "lower")
        )

    @property
    def sequence_length(self) -> int:
        """Tokens of a sequence: `length`, or else that of the tokenizer's model, or else 32."""
        if self.length is not None:
            return self.length
        if isinstance(self.tokenizer, Tokenizer):
            return self.tokenizer.sequence_length or _LENGTH
        return (ClipBpe.sequence_length if self.tokenizer == "clip" else None) or _LENGTH

    def pack(self, tokenizer: Tokenizer, *, lookahead: int = 0, prompt: str = "") -> Pack:
        """The stage that packs tokens into sequences.

        Args:
          tokenizer: Splits captions into tokens.
          lookahead: By how many tokens sequences are longer than `length`.
          prompt: Text before each caption.

        Raises:
          ValueError: The length leaves no room for a token, or no token precedes the first one.
        """
        start, end = tokenizer.start_id, tokenizer.end_id
        ids = tuple(tokenizer.tokenize(prompt).numpy().tolist()) if prompt else ()
        if prompt and not ids:
            raise ValueError(
                f"prompt=... must hold a token; {tokenizer!r} finds no token in {prompt!r}."
            )
        if lookahead and start is None and not ids:
            see = "Text(start_id=...) or " if isinstance(tokenizer, KerasTokenizer) else ""
            raise ValueError(
                "text=... must have a start token, or the task a prompt, to predict the first "
                f"token from; got {tokenizer!r} without one. See {see}Prefix(prompt=...)."
            )
        lengths = [*self.buckets, self.sequence_length]
        least, words = room_needed(start, ids, end)
        if lengths[0] < least - lookahead:
            raise ValueError(
                f"sequence_length=... and buckets=... must be at least {least - lookahead}, for "
                f"{words}; got {lengths[0]!r}."
            )
        lengths = [length + lookahead for length in lengths]
        return Pack(
            length=lengths[-1],
            start_id=start,
            end_id=end,
            pad_id=tokenizer.pad_id,
            prompt=ids,
            padding=self.padding,
            padding_side=self.padding_side,
            buckets=tuple(lengths) if self.buckets else (),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batching:
    """How examples make batches.

    Attributes:
      size: Examples per batch, over all shards.
      remainder: What happens to the short batch at the end of an epoch, or of each bucket. "keep"
        keeps it; "drop" leaves it out, so each epoch misses other examples; "wrap" fills it with
        the first examples of the epoch. With "drop" and "wrap", batch shapes are static. The splits
        "validation" and "test" always keep it, so each example is measured once.

    Raises:
      ValueError: A field has another value than these.
    """

    size: int = 32
    remainder: Remainder = "keep"

    to_dict = as_dict

    def __post_init__(self) -> None:
        if not (_is_int(self.size) and self.size >= 1):
            raise ValueError(f"batch_size=... must be an int of at least 1; got {self.size!r}.")
        if self.remainder not in get_args(Remainder):
            raise ValueError(
                f"Batching(remainder=...) must be one of {list(get_args(Remainder))}; got "
                f"{self.remainder!r}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """Shuffling in blocks, so that reads stay close: for tar shards, slow disks and remote files.

    Each epoch takes the blocks in another order, `window` blocks at a time, and shuffles the
    examples of these together. A block is a tar shard, or `rows` files in the order of their paths.

    Attributes:
      window: Number of blocks that are shuffled together, >= 1.
      rows: Images per block, >= 1, if they are not in tar shards.

    Raises:
      ValueError: A field is out of range.
    """

    window: int = 8
    rows: int = 1000

    to_dict = as_dict

    def __post_init__(self) -> None:
        for name in ("window", "rows"):
            value = getattr(self, name)
            if not (_is_int(value) and value >= 1):
                raise ValueError(f"Blocks({name}=...) must be an int of at least 1; got {value!r}.")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
