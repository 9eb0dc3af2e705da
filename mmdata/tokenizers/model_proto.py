"""SentencePiece's model files: the part of their format that is read and written here.

Source: sentencepiece `src/sentencepiece_model.proto`, version 0.2; fields that are not listed here
survive reading and writing.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Types of pieces."""

UNIGRAM, BPE = 1, 2
"""Types of models."""

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
    ),
}


def _model_class() -> Any:
    package = "mmdata.sentencepiece"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            kind, of, number, *default = field.split()
            entry = message.field.add(name=of, number=int(number), label=1)
            if kind in _TYPES:
                entry.type = _TYPES[kind]
            else:
                entry.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
                entry.type_name = f".{package}.{kind}"
            if of == "pieces":
                entry.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
            if default:
                entry.default_value = default[0]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Model"))


Model: Any = _model_class()
"""A model: `pieces`, `trainer_spec`, `normalizer_spec`; `ParseFromString`, `SerializeToString`."""
