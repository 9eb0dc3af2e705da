"""Damages SentencePiece models, and compares mmdata with the library sentencepiece on each.

Run as a program, so that a crash ends this process and not the test:

    python damaged_models.py MODEL FIRST COUNT

Prints a line before each step, so that the last line names the damage and the library that crashed.
"""

import json
import math
import pathlib
import random
import struct
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

TEXTS = [
    "A red boat, 12 dogs.",
    "Café ½ ﬁ ① ＡＢ\u3000é e\u0301 한국 \u1112\u1161\u11ab ㎏ ™",  # noqa: RUF001
    "日本語 👩‍🚀 <s> <unk> <pad> ▁ x\u0338",
    "  two   spaces\tand\nlines ",
    "",
    " ",
    "ᚠ boat",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
]
ODD_PIECES = ["", "\0", "a\0b", "▁", " ", "a", "e", "<unk>", "<s>", "<0x41>", "é", "a" * 9000]


def damaged(model: bytes, chance: random.Random) -> bytes:
    """One damage, or a few, of the file or of what it holds."""
    kinds: list[Callable[[bytes, random.Random], bytes]] = [
        *[of_bytes] * 2,
        *[of_pieces] * 4,
        *[of_settings] * 2,
        *[of_charsmap] * 2,
    ]
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        try:
            model = chance.choice(kinds)(model, chance)
        except (ValueError, IndexError):  # what an earlier damage left cannot be damaged so
            continue
    return model


def of_bytes(content: bytes, chance: random.Random) -> bytes:
    """Flips, cuts, inserts, repeats or moves bytes."""
    place, other = sorted(chance.randrange(len(content)) for _ in range(2))
    size = chance.choice([1, 2, 4, 40, 1000])
    kind = chance.randrange(7)
    if kind < 2:
        changed = bytearray(content)
        for _ in range(chance.choice([1, 1, 3, 30])):
            changed[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        return bytes(changed)
    return [
        content[:place],
        content[:place] + chance.randbytes(size) + content[place:],
        content[:place] + content[place + size :],
        content[:place] + content[place : place + size] + content[place:],
        content[:place] + content[other : other + size] + content[place:],
    ][kind - 2]


def parsed(content: bytes) -> Any:
    from google.protobuf.message import DecodeError

    from mmdata.tokenizers import model_proto

    try:
        return model_proto.Model.FromString(content)
    except DecodeError as err:
        raise ValueError("no model") from err


def of_pieces(content: bytes, chance: random.Random) -> bytes:
    model = parsed(content)
    pieces = model.pieces
    one, other = chance.randrange(len(pieces)), chance.randrange(len(pieces))
    kind = chance.randrange(8)
    # In a unigram model, sentencepiece before 0.2.2, and so tensorflow-text, may split a
    # user-defined piece where others overlap it. So there, none is made that they do.
    is_bpe = model.trainer_spec.model_type == 2
    if kind == 0:
        pieces[one].piece = chance.choice([*ODD_PIECES, pieces[other].piece])
    elif kind == 1:
        odd = [math.nan, math.inf, -math.inf, 3e38, 0.0, chance.uniform(-100, 100)]
        pieces[one].score = chance.choice(odd)
    elif kind == 2:
        types = [-1, 0, 1, 2, 3, 5, 5, 6, 7, 1000, *[4, 4] * is_bpe]
        pieces[one].type = chance.choice(types)
    elif kind == 3:
        pieces[one].piece, pieces[other].piece = pieces[other].piece, pieces[one].piece
    elif kind == 4:
        del pieces[min(one, other) : chance.choice([1, max(one, other)])]
    elif kind == 5:
        letter = chance.choice("aez " if is_bpe else "ᚠ")
        for length in range(1, chance.choice([3, 70])):
            pieces.add(piece=letter * length, type=chance.choice([1, 4, 4]), score=-1)
    elif kind == 6:
        for place in range(one % 7, len(pieces), 7):
            pieces[place].type = chance.choice([1, 3, 5, *[4] * is_bpe])
    else:
        for place in range(one % 7, len(pieces), 7):
            pieces[place].score = -chance.random() * 20
    return bytes(model.SerializeToString())


def of_settings(content: bytes, chance: random.Random) -> bytes:
    model = parsed(content)
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    kind = chance.randrange(6)
    if kind == 0:
        trainer.model_type = chance.choice([-1, 0, 2, 3, 4, 5, 99])
    elif kind == 1:
        name = chance.choice(["unk_id", "bos_id", "eos_id", "pad_id"])
        setattr(trainer, name, chance.choice([-2, -1, 0, 5, 10**6, 2**31 - 1, -(2**31)]))
    elif kind == 2:
        name = chance.choice(["byte_fallback", "treat_whitespace_as_suffix"])
        setattr(trainer, name, not getattr(trainer, name))
    elif kind == 3:
        name = chance.choice(["add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces"])
        setattr(normalizer, name, not getattr(normalizer, name))
    elif kind == 4:
        model.ClearField(chance.choice(["trainer_spec", "normalizer_spec"]))
    else:  # a test of itself, which the library runs: `self_test_data`, a sample, its two texts
        texts = [chance.choice([b"a", b"\xe2\x96\x81a", b""]) for _ in range(2)]
        sample = b"".join(bytes([10 + 8 * n, len(t)]) + t for n, t in enumerate(texts))
        sample = bytes([10, len(sample)]) + sample
        return content + bytes([34, len(sample)]) + sample
    return bytes(model.SerializeToString())


def of_charsmap(content: bytes, chance: random.Random) -> bytes:
    model = parsed(content)
    charsmap = bytearray(model.normalizer_spec.precompiled_charsmap)
    kind = chance.randrange(9)
    if kind == 0 or not charsmap:
        size = 1024 * chance.randrange(1, 4)
        charsmap = bytearray(struct.pack("<I", size) + chance.randbytes(size) + b"a\0\0")
    elif kind == 1:
        size = chance.choice([0, 1, 16, 1020, 1024, len(charsmap), 2**32 - 1])
        charsmap[:4] = struct.pack("<I", size)
    elif kind == 2:
        del charsmap[chance.randrange(len(charsmap)) :]
    elif kind == 3:
        charsmap = bytearray(b"\x10\0\0\0" + b"\xff" * 64)
    elif kind == 4:
        charsmap[-1:] = chance.choice([b"a", b"", b"\xff\0"])
    elif kind == 5:
        size = struct.unpack("<I", charsmap[:4])[0]
        charsmap[chance.randrange(4 + size, len(charsmap))] = chance.choice([0, 0, 0x80, 0x41])
    else:  # units of the trie, within what they may point to, or not
        size = struct.unpack("<I", charsmap[:4])[0]
        for _ in range(chance.choice([1, 1, 10, 1000])):
            one, other = (4 + 4 * chance.randrange(size // 4) for _ in range(2))
            charsmap[one : one + 4] = charsmap[other : other + 4]
            if kind == 7:
                charsmap[one + chance.randrange(2)] ^= 1 << chance.randrange(8)
            elif kind == 8:
                charsmap[one : one + 4] = chance.randbytes(4)
    spec = model.normalizer_spec if chance.random() < 0.8 else model.denormalizer_spec
    spec.precompiled_charsmap = bytes(charsmap)
    return bytes(model.SerializeToString())


def by_mmdata(model: bytes) -> Any:
    from mmdata.tokenizers import SentencePiece

    try:
        tokenizer = SentencePiece(model)
    except ValueError:
        return None
    ids = tokenizer.tokenize(TEXTS)
    tokenizer.detokenize(ids)
    return ids.to_list()


def by_library(model: bytes) -> Any:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_proto=model).encode(TEXTS)
    except (RuntimeError, UnicodeDecodeError):  # the latter where its message is not UTF-8
        return None


def main(path: str, first: str, count: str) -> None:
    model = pathlib.Path(path).read_bytes()
    outcomes: Counter[str] = Counter()
    for number in range(int(first), int(first) + int(count)):
        broken = damaged(model, random.Random(number))
        print(f"damage {number}: mmdata", flush=True)
        ours = by_mmdata(broken)
        print(f"damage {number}: library", flush=True)
        theirs = by_library(broken)
        if ours is None:
            outcomes["refused by both" if theirs is None else "refused by mmdata alone"] += 1
        elif ours == theirs:
            outcomes["alike"] += 1
        else:
            outcomes["wrong"] += 1
            print(f"damage {number}: WRONG: {ours} and {theirs}", flush=True)
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
