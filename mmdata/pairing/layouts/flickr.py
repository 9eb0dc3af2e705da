"""Layout "flickr": the captions of Flickr8k and Flickr30k as they are published, and their splits.

Source: Hodosh, Young and Hockenmaier 2013, "Framing Image Description as a Ranking Task"; Young et
al. 2014, "From image descriptions to visual denotations". Flickr8k's text files are at
https://github.com/jbrownlee/Datasets; the tables with a header are Kaggle's.
"""

import dataclasses
import os
import re
from collections.abc import Container, Iterator

from mmdata.files.links import Boundary, Links, outside_detail
from mmdata.pairing.folders import stem
from mmdata.pairing.layouts.documents import one_line, shown
from mmdata.pairing.listing import Listing
from mmdata.pairing.texts import TextDecoder, cut_off, read_text
from mmdata.pairs.findings import Finding, PairingError
from mmdata.pairs.split_names import split_name

_HEAD = 4096
_EXTENSION = r"\.(?:jpe?g|png|gif|bmp|webp|tiff?)"
_CSV_NAME = rf'(?P<name>"(?:[^"]|"")+"\s*|.+?{_EXTENSION}(?:\.\d+)?\s*|[^,]+),'
_IMAGE = re.compile(f".*{_EXTENSION}", re.IGNORECASE)
_NUMBERED = re.compile(rf"(.+{_EXTENSION})\.\d+", re.IGNORECASE)
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_LIST = re.compile(r"(?:.*(train|dev|val|test)images|(train|val|test))\.txt", re.IGNORECASE)
_LEMMAS = ".lemma.token.txt"
_TEXTS = (".txt", ".csv", ".token")


@dataclasses.dataclass(frozen=True)
class _Format:
    """One format of caption files.

    Attributes:
      example: An example of a line, for messages.
      pattern: A line: `name` and `caption`; also `number`, if the separator after it is missing.
      headers: Possible first lines, without white space and quotes, in lower case; empty if the
        format has no header.
      quoted: Whether fields may be in quotes.
      next_line: What a caption never contains: the beginning of another line.
    """

    example: str
    pattern: re.Pattern[str]
    headers: tuple[str, ...] = ()
    quoted: bool = False
    next_line: re.Pattern[str] | None = None

    def fits(self, lines: list[str]) -> bool:
        if self.headers:
            return re.sub(r'[\s"]', "", lines[0]).lower() in self.headers
        return 2 * sum(map(bool, map(self.pattern.fullmatch, lines))) >= len(lines)


_FORMATS = (
    _Format(
        "name.jpg,caption",
        re.compile(rf"{_CSV_NAME}(?P<caption>.*)", re.IGNORECASE),
        ("image,caption", "image,comment", "image_name,caption", "image_name,comment"),
        quoted=True,
    ),
    _Format(
        "name.jpg,0,caption",
        re.compile(rf"{_CSV_NAME}\s*\d+\s*,(?P<caption>.*)", re.IGNORECASE),
        ("image_name,comment_number,comment",),
        quoted=True,
    ),
    _Format(
        "name.jpg| 0| caption",
        re.compile(r"(?P<name>[^|]+)\|\s*(?:\d+\s*\||(?P<number>\d+)\s+(?=\S))(?P<caption>.*)"),
        ("image_name|comment_number|comment",),
        next_line=re.compile(rf"{_EXTENSION}\s*\|\s*\d+\s*\|", re.IGNORECASE),
    ),
    _Format(
        "name.jpg#0<tab>caption",
        re.compile(r"(?P<name>[^\t]*\.\w+)#\d+\t(?P<caption>.*)"),
        next_line=re.compile(r"\.\w+#\d+\t"),
    ),
)
_REQUIRED = (
    "Required: lines like 'name.jpg#0<tab>caption'; or one of the headers 'image,caption', "
    "'image_name,comment_number,comment', 'image_name| comment_number| comment', and lines like it."
)


@dataclasses.dataclass
class _Entries:
    """The entries of a caption file, their line numbers, and the defects of names."""

    names: list[str] = dataclasses.field(default_factory=list)
    captions: list[list[str]] = dataclasses.field(default_factory=list)
    places: list[int] = dataclasses.field(default_factory=list)
    defects: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, name: str, caption: str, place: int) -> None:
        self.names.append(name)
        self.captions.append([caption])
        self.places.append(place)

    def only(self, names: Container[str]) -> "_Entries":
        kept = [entry for entry, name in enumerate(self.names) if name in names]
        return _Entries(
            [self.names[entry] for entry in kept],
            [self.captions[entry] for entry in kept],
            [self.places[entry] for entry in kept],
            {name: defect for name, defect in self.defects.items() if name in names},
        )


def recognise(head: str) -> bool:
    """Whether a text with this beginning, about 4 KiB, is a caption file of Flickr8k or 30k."""
    return _format_of(head) is not None


def read(path: str, *, decoder: TextDecoder, links: Links = "inside") -> Listing:
    """Reads a caption file of Flickr8k or Flickr30k, and the lists of splits next to it.

    Every line is an entry. The lists, e.g. "Flickr_8k.trainImages.txt" or "val.txt", give the
    splits if most of their lines are names in the caption file.

    Args:
      path: The caption file, or a folder that holds one.
      decoder: Decodes its bytes, and those of the lists.
      links: Whether links out of its folder are followed, for this file and the lists.

    Returns:
      The listing; every line in another format is a finding. An image that is in the lists of two
      splits is also a finding, and not an entry.

    Raises:
      PairingError: The file is not in one of the formats, has no caption, or is not UTF-8; or the
        folder has no such file, or several.
    """
    findings: list[Finding] = []
    is_folder = os.path.isdir(path)
    texts = _texts(path if is_folder else os.path.dirname(path) or os.curdir, links, findings)
    file = _find(path, texts, decoder, findings) if is_folder else path
    source = os.path.basename(file)
    entries = _entries(file, _text(file, decoder, findings), findings)
    names = set(entries.names)
    lists = _lists(file, texts, names, decoder, findings)
    splits = _splits(names, lists, findings)
    entries = entries.only(splits)
    if is_folder:
        others = [text for text in texts if text != source and not _is_for_flickr(text)]
        findings += [
            Finding("ignored", text, "not captions of Flickr8k or Flickr30k") for text in others
        ]
    return Listing(
        layout="flickr",
        source=source,
        names=entries.names,
        captions=entries.captions,
        places=entries.places,
        splits=[splits[name] for name in entries.names] if lists else None,
        defects=entries.defects,
        findings=findings,
    )


def _find(folder: str, texts: list[str], decoder: TextDecoder, findings: list[Finding]) -> str:
    """The caption file among the files of a folder."""
    sniffer = dataclasses.replace(decoder, errors="replace")
    found = [file for file in texts if _sniff(os.path.join(folder, file), sniffer)]
    lemmas = [file for file in found if file.lower().endswith(_LEMMAS)]
    if len(found) > len(lemmas) > 0:
        detail = "the same captions in lemmas; pass the file itself to read them"
        findings += [Finding("ignored", file, detail) for file in lemmas]
        found = [file for file in found if file not in lemmas]
    if len(found) != 1:
        links = "".join(f" {f.path!r} is {f.detail}." for f in findings if f.kind == "outside")
        shown = ", ".join(map(ascii, found[:5])) + (", ..." if len(found) > 5 else "")
        raise PairingError(
            f"{folder}: must hold one caption file of Flickr8k or Flickr30k; got {len(found)}"
            + (f": {shown}. Pass the file itself." if found else f".{links} {_REQUIRED}")
        )
    return os.path.join(folder, found[0])


def _texts(folder: str, links: Links, findings: list[Finding]) -> list[str]:
    """The files directly in a folder that may hold text, sorted."""
    boundary = Boundary(folder, links)
    texts: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            is_hidden = entry.name.startswith(".")
            if is_hidden or _IMAGE.fullmatch(entry.name) or not os.path.isfile(entry.path):
                continue
            target = boundary.outside(entry.path) if entry.is_symlink() else None
            if target is None:
                texts.append(entry.name)
            elif entry.name.lower().endswith(_TEXTS):
                findings.append(Finding("outside", entry.name, outside_detail(target)))
    return sorted(texts)


def _is_for_flickr(name: str) -> bool:
    return bool(_LIST.fullmatch(name)) or name.lower().endswith(_LEMMAS)


def _sniff(path: str, decoder: TextDecoder) -> bool:
    with open(path, "rb") as file:
        return recognise(decoder.decode(file.read(_HEAD))[0])


def _text(path: str, decoder: TextDecoder, findings: list[Finding]) -> str:
    text, note = read_text(path, decoder)
    if note is not None:
        findings.append(Finding("coerced", os.path.basename(path), note))
    return text


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, and their numbers from 1."""
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _format_of(head: str) -> _Format | None:
    lines = [line for _, line in _lines(head)]
    if len(lines) > 1 and not head.endswith("\n"):
        lines.pop()  # it may be cut off
    return next(
        (line_format for line_format in _FORMATS if lines and line_format.fits(lines)), None
    )


def _entries(path: str, text: str, findings: list[Finding]) -> _Entries:
    """The entries of a caption file.

    Raises:
      PairingError: There are no entries.
    """
    source, lines = os.path.basename(path), list(_lines(text))
    line_format = _format_of(text[:_HEAD])
    if line_format is None:
        got = f"{shown(lines[0][1])} in line {lines[0][0]}" if lines else "a file without text"
        raise PairingError(f"{path}: must hold captions; got {got}. {_REQUIRED}")
    entries, found = _Entries(), []
    listed = {
        _fields(line_format, match)[0]
        for _, line in lines
        if (match := line_format.pattern.fullmatch(line))
    }
    for number, line in lines[bool(line_format.headers) :]:
        where = f"{source}:{number}"
        match = line_format.pattern.fullmatch(line)
        name, caption = _fields(line_format, match) if match else ("", "")
        if match is None or not name:
            found.append(
                Finding("malformed", where, f"not like {line_format.example!r}: {shown(line)}")
            )
            continue
        if line_format.next_line and line_format.next_line.search(match["caption"]):
            found.append(Finding("malformed", where, f"two entries in one line: {shown(line)}"))
            continue
        if line_format.quoted and line.count('"') % 2:
            found.append(Finding("stray_quote", where, line))
        if match.groupdict().get("number"):
            detail = f"no '|' after {match['number']}; read as if it were there: add it"
            found.append(Finding("known_defect", where, detail))
        fixed = _without_number(name)
        if fixed != name and fixed not in listed:
            entries.defects.setdefault(fixed, _defect(where, name))
            name = fixed
        entries.add(name, caption, number)
    if not entries.names:
        got = f"{len(found):,} line(s) that are not like {line_format.example!r}"
        raise PairingError(f"{path}: must hold captions; got {got}.", found)
    findings += found + cut_off(text, source)
    return entries


def _fields(line_format: _Format, match: re.Match[str]) -> tuple[str, str]:
    """The name and the caption of a line; of a CSV file, without quotes."""
    name, caption = match["name"].strip(), match["caption"].strip()
    if line_format.quoted:
        name, caption = _unquote(name), _unquote(caption)
    return name, one_line(caption)


def _unquote(field: str) -> str:
    match = _QUOTED.fullmatch(field)
    return match[1].replace('""', '"').strip() if match else field


def _without_number(name: str) -> str:
    """The name without a number after its extension."""
    match = _NUMBERED.fullmatch(name)
    return match[1] if match else name


def _defect(where: str, name: str) -> str:
    return (
        f"{where} spells it {name!a}, and published Flickr8k has no such image; delete its lines, "
        "or rename it"
    )


def _lists(
    path: str, texts: list[str], names: set[str], decoder: TextDecoder, findings: list[Finding]
) -> dict[str, set[str]]:
    """The names of each split, from lists next to a caption file, with or without extension."""
    folder, source = os.path.split(path)
    known = names | set(map(stem, names))
    lists: dict[str, set[str]] = {}
    for file in texts:
        match = _LIST.fullmatch(file)
        if not match or file == source:
            continue
        text = _text(os.path.join(folder, file), decoder, findings)
        listed = {_without_number(line.strip()) for _, line in _lines(text)}
        unknown = sorted(listed - known)
        if 2 * len(unknown) >= len(listed):
            detail = f"not a list of a split: most of its names are not in {source}"
            findings.append(Finding("ignored", file, detail))
            continue
        if unknown:
            detail = f"{len(unknown):,} name(s) without captions, e.g. {shown(unknown[0])}"
            findings.append(Finding("known_defect", file, detail, len(unknown)))
        lists.setdefault(split_name(match[1] or match[2]), set()).update(listed)
    return lists


def _splits(
    names: set[str], lists: dict[str, set[str]], findings: list[Finding]
) -> dict[str, str | None]:
    """The split of each name, or None for no split; without the names that have two splits."""
    splits: dict[str, str | None] = {}
    for name in sorted(names):
        found = [split for split, listed in lists.items() if {name, stem(name)} & listed]
        if len(found) > 1:
            detail = "in both " + " and ".join(map(repr, sorted(found)))
            findings.append(Finding("disagreement", name, detail))
        else:
            splits[name] = found[0] if found else None
    return splits
