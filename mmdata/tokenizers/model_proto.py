"""SentencePiece's model files: the fields that are read, checked and written here.

Source: sentencepiece `src/sentencepiece_model.proto`, version 0.2; other fields are kept unchanged
by reading and writing.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from mmdata.tokenizers import charsmap

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Types of pieces."""

UNIGRAM, BPE, WORD, CHAR = range(1, 5)
"""Types of models."""

NUL = "\0"
"""A piece that models with byte fallback may have, and that no text becomes."""

_LONGEST_PIECE = 7999  # bytes, as in sentencepiece
_MOST_NESTED = 64  # user-defined pieces that are prefixes of a longer one; sentencepiece's limit

_TYPES = {
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "float": descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
}

_MESSAGES = {
    "Piece": ("string piece 1", "float score 2", f"int32 type 3 {NORMAL}"),
    "TrainerSpec": (
        f"int32 model_type 3 {UNIGRAM}",
        "bool treat_whitespace_as_suffix 24 false",
        "bool byte_fallback 35 false",
        "int32 unk_id 40 0",
        "int32 bos_id 41 1",
        "int32 eos_id 42 2",
        "int32 pad_id 43 -1",
    ),
    "NormalizerSpec": (
        "string name 1",
        "bytes precompiled_charsmap 2",
        "bool add_dummy_prefix 3 true",
        "bool remove_extra_whitespaces 4 true",
        "bool escape_whitespaces 5 true",
    ),
    "Model": (
        "Piece pieces 1",
        "TrainerSpec trainer_spec 2",
        "NormalizerSpec normalizer_spec 3",
        "NormalizerSpec denormalizer_spec 5",
    ),
}


def _model_class() -> Any:
    package = "mmdata.sentencepiece"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            kind, field_name, number, *default = field.split()
            entry = message.field.add(name=field_name, number=int(number), label=1)
            if kind in _TYPES:
                entry.type = _TYPES[kind]
            else:
                entry.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
                entry.type_name = f".{package}.{kind}"
            if field_name == "pieces":
                entry.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
            if default:
                entry.default_value = default[0]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Model"))


Model: Any = _model_class()
"""A model: `pieces`, `trainer_spec`, `normalizer_spec`; `ParseFromString`, `SerializeToString`."""


def fault(model: Any) -> str | None:
    """Why an old or new sentencepiece could not use a model; None if both can."""
    kind, has_bytes = model.trainer_spec.model_type, model.trainer_spec.byte_fallback
    if not UNIGRAM <= kind <= CHAR:
        return f"model_type must be from {UNIGRAM} to {CHAR}; got {kind}"
    for name in ("normalizer_spec", "denormalizer_spec"):
        if found := charsmap.fault(getattr(model, name).precompiled_charsmap):
            return f"{name}.precompiled_charsmap {found}"
    pieces: list[tuple[str, int]] = []
    for place, entry in enumerate(model.pieces):
        piece = entry.piece
        if not isinstance(piece, str):
            return f"piece {place} must be UTF-8; got {piece!r}"
        size = len(piece.encode())
        if not 0 < size <= _LONGEST_PIECE:
            return f"piece {place} must have 1 to {_LONGEST_PIECE:,} bytes; got {size:,}"
        if NUL in piece and not (piece == NUL and has_bytes):
            return f"piece {place} must hold no NUL; got {piece!r}"
        if not NORMAL <= entry.type <= BYTE:
            return f"piece {place} must have a type from {NORMAL} to {BYTE}; got {entry.type}"
        if not math.isfinite(entry.score):
            return f"piece {place} must have a finite score; got {entry.score}"
        pieces.append((piece, entry.type))
    unknown = sum(type_ == UNKNOWN for _, type_ in pieces)
    if unknown != 1:
        return f"there must be one unknown piece; got {unknown}"
    if duplicates := _duplicates(pieces, kind):
        return f"each piece must occur once; got duplicates of {duplicates[:5]}"
    nested = _nested(piece for piece, type_ in pieces if type_ == USER_DEFINED)
    if nested > _MOST_NESTED:
        return f"at most {_MOST_NESTED} user-defined pieces may be nested prefixes; got {nested}"
    return None


def _duplicates(pieces: Iterable[tuple[str, int]], kind: int) -> list[str]:
    """The pieces that occur twice. Outside of BPE, a piece of text may equal a special one."""
    text = (NORMAL, USER_DEFINED, UNUSED)
    counts = Counter((piece, kind == BPE or type_ in text) for piece, type_ in pieces)
    return sorted(piece for (piece, _), count in counts.items() if count > 1)


def _nested(pieces: Iterable[str]) -> int:
    """The length of the longest chain of pieces in which each is a prefix of the next."""
    most = 0
    path: list[str] = []
    for piece in sorted(pieces):
        while path and not piece.startswith(path[-1]):
            path.pop()
        path.append(piece)
        most = max(most, len(path))
    return most
