"""Bytes of caption files -> text, without guessing the encoding."""

import codecs
import dataclasses
import re
from collections.abc import Collection, Iterable
from typing import Literal

from mmdata.pairs.findings import Finding, PairingError

Lines = Literal["auto", "each", "one"]

READ_AS = {
    "each": 'read as one caption per line; lines="one" reads each file as one caption',
    "one": 'paragraphs: read as one caption per file; lines="each" reads each line as one',
}
"""Details of findings about files of several lines, by how `split_captions` read them."""

MISSING = frozenset({"nan", "NaN", "NULL", "null", "None", "<NA>", "N/A", "n/a", "#N/A"})
"""What programs write for missing text. Source: pandas, `read_csv(na_values=)`."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like that of UTF-16, so it is tested first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_END = re.compile(r"\r\n?")
_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n")
_SEVERAL_SENTENCES = re.compile(r"[.!?][\"')\]]*\s+\S|[\u3002\uff01\uff1f].*\S")


@dataclasses.dataclass(frozen=True)
class TextDecoder:
    """Decodes files of text: UTF-8, or what a byte order mark declares; never guesses.

    Attributes:
      encoding: The encoding of files that are not UTF-8; None refuses them.
      errors: "strict"; or "replace", which writes U+FFFD for bytes that do not decode.

    Raises:
      ValueError: `encoding` or `errors` is not known.
    """

    encoding: str | None = None
    errors: Literal["strict", "replace"] = "strict"

    def __post_init__(self) -> None:
        if self.errors not in ("strict", "replace"):
            raise ValueError(
                f'encoding_errors=... must be "strict" or "replace"; got {self.errors!r}.'
            )
        try:
            b"text".decode("utf-8" if self.encoding is None else self.encoding, "replace")
        except (LookupError, TypeError, ValueError) as err:
            raise ValueError(
                "encoding=... must be the name of a text encoding that Python knows, or None; "
                f"got {self.encoding!r}."
            ) from err

    def decode(self, content: bytes) -> tuple[str, str | None]:
        """The text, with line feeds as line ends; and what was coerced, or None.

        Raises:
          UnicodeDecodeError: The content is not UTF-8, and no byte order mark and no argument gives
            its encoding.
        """
        text, note = self._decode(content)
        if "\r" in text:
            text = _LINE_END.sub("\n", text)
        return text, note

    def _decode(self, content: bytes) -> tuple[str, str | None]:
        bom, declared = next((b for b in _BOMS if content.startswith(b[0])), (b"", "utf-8"))
        try:
            text = content[len(bom) :].decode(declared)
            if "\0" not in text:
                return (
                    text,
                    None
                    if declared == "utf-8"
                    else f"read as {declared}, as its byte order mark says",
                )
            place = len(bom) + len(text[: text.index("\0")].encode(declared))
            reason = "NUL bytes, as UTF-16 without a byte order mark has"
            failure = UnicodeDecodeError(declared, content, place, place + 1, reason)
        except UnicodeDecodeError as err:
            start, end = err.start + len(bom), err.end + len(bom)
            failure = UnicodeDecodeError(declared, content, start, end, err.reason)
        if self.encoding is not None:
            try:
                text = codecs.decode(content, self.encoding)
                if isinstance(text, str) and "\0" not in text:
                    return text.removeprefix("\ufeff"), f"read as {self.encoding}"
            except (UnicodeDecodeError, ValueError):
                pass
        if self.errors == "strict":
            raise failure
        coerced = content[len(bom) :].decode(self.encoding or declared, "replace")
        return coerced.replace("\0", "\ufffd"), "bytes that do not decode became U+FFFD"


def read_text(path: str, decoder: TextDecoder) -> tuple[str, str | None]:
    """Reads and decodes a file, see `TextDecoder.decode`.

    Raises:
      PairingError: The file cannot be decoded.
      OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        content = file.read()
    try:
        return decoder.decode(content)
    except UnicodeDecodeError as err:
        raise PairingError(
            f"{path}: must be UTF-8; got {explain(err)}. Pass encoding=... or "
            'encoding_errors="replace".'
        ) from err


def explain(err: UnicodeDecodeError) -> str:
    """The first byte that does not decode, and its offset."""
    return f"byte 0x{err.object[err.start]:02x} at offset {err.start:,}"


def with_text(captions: Iterable[str]) -> tuple[list[str], list[str]]:
    """The captions with text, stripped; and the others, which are "" or in `MISSING`."""
    stripped = list(map(str.strip, captions))
    kept = [caption for caption in stripped if caption and caption not in MISSING]
    if len(kept) == len(stripped):
        return kept, []
    return kept, [caption for caption in stripped if not caption or caption in MISSING]


def why_without_text(others: Collection[str]) -> str:
    """The detail of a finding about captions that `with_text` left out."""
    words = sorted(filter(None, set(others)))
    if not others:
        return "has no caption"
    return f"has {words[0]!r}, which programs write for missing text" if words else "has no text"


def cut_off(text: str, source: str) -> list[Finding]:
    """A notice if the last line of a file has no line end: the file may have been cut off."""
    if not text.strip() or text.endswith("\n"):
        return []
    line = text.count("\n") + 1
    return [Finding("cut_off", f"{source}:{line}", "no line feed at the end of the file")]


def split_captions(text: str, lines: Lines) -> tuple[list[str], Literal["each", "one"] | None]:
    """The captions in the text of a caption file; and how several lines were read, if any.

    With `lines="auto"`, paragraphs of several sentences are one caption; otherwise each line is a
    caption.
    """
    whole = text.strip()
    if "\n" not in whole:
        return [whole] if whole else [], None
    if lines == "auto":
        blocks = _PARAGRAPHS.split(whole)
        prose = len(blocks) > 1 and any(map(_SEVERAL_SENTENCES.search, blocks))
        lines = "one" if prose else "each"
    if lines == "one":
        return [whole], "one"
    return [line.strip() for line in whole.split("\n") if line.strip()], "each"
