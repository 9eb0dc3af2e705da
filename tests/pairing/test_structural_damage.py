"""Caption files and shards with one structural damage: what remains is right, the rest is reported.

A damage is a cut, or a bracket, quote, comma, colon, line end, key, entry, line, header or member
that is deleted, doubled, renamed or swapped. Not generated, since nothing could notice it:
  - a changed letter in a caption, and two whole captions that change places;
  - a line or entry deleted with all its marks, where its image has other captions;
  - a table that ends with a line end before its last lines, where their images have other captions.
"""

import copy
import dataclasses
import json
import pathlib
import random
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import mmdata
from mmdata.pairs.findings import Finding
from mmdata.pairs.pairs import Pairs

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]
Chance = random.Random

DAMAGES = 200
FORMS = (
    "A {0} on a table, and so on",
    "Two {0}s beside one another",
    'He said "{0}" and left it there',
    "caf\u00e9 {0} \U0001f600 ol\u00e9 ol\u00e9",
    "the {0}'s tail, [sic] {{here}}: right",
    '"{0}", he said, "is that so"',
)
WORDS = [
    *("alpha", "bravo", "coral", "delta", "eagle", "fjord", "grape", "hotel", "igloo", "jelly"),
    *("koala", "lemon", "mango", "nylon"),
]
IMAGES = [("val/" if place % 4 == 1 else "") + f"{word}.png" for place, word in enumerate(WORDS)]
CAPTIONS = {
    image: [FORMS[(place + 2 * n) % 6].format(WORDS[place]) for n in range(1 + place % 3)]
    for place, image in enumerate(IMAGES)
}
PAIRS = [(image, caption) for image, captions in CAPTIONS.items() for caption in captions]


# A text whose characters know what they are, and which entry they belong to.


@dataclasses.dataclass(frozen=True)
class Character:
    """One character: "mark" of the format, "caption", or "other"; and its entry, -1 for none."""

    text: str
    kind: str = "other"
    entry: int = -1


Text = list[Character]


def characters(text: str, kind: str = "other", entry: int = -1) -> Text:
    return [Character(character, kind, entry) for character in text]


def rendered(text: Text) -> str:
    return "".join(character.text for character in text)


def places(text: Text) -> dict[int, set[int]]:
    """The lines, from 1, on which the characters of each entry are."""
    found: dict[int, set[int]] = {}
    line = 1
    for character in text:
        found.setdefault(character.entry, set()).add(line)
        line += character.text == "\n"
    return found


_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:\n]|[^\[\]{},:\n"]+')


def json_text(value: Any, entry: int = -1, **options: Any) -> Text:
    """JSON; a key that ends in NUL is written without it, so that an object can hold one twice."""
    content = json.dumps(value, **options).replace('\\u0000"', '"')
    captions = {json.dumps(caption, **options) for _, caption in PAIRS}
    text: Text = []
    for token in _JSON.findall(content):
        if token[0] == '"':
            kind = "caption" if token in captions else "other"
            text += [Character('"', "mark", entry), *characters(token[1:-1], kind, entry)]
            text.append(Character('"', "mark", entry))
        else:
            text += characters(token, "mark" if len(token) == 1 else "other", entry)
    return text


# Damages of texts. Each returns the damaged bytes, what remains of the text, and what was done.

Damaged = tuple[bytes, Text, str]


def damage_text(text: Text, chance: Chance) -> Damaged:
    how = chance.choice([cut, delete, double, swap, swap])
    return how(text, chance)


def cut(text: Text, chance: Chance) -> Damaged:
    content = rendered(text).encode()
    end = chance.randrange(1, len(content))
    while content[end - 1 : end] == b"\n":
        end -= 1
    left = len(content[:end].decode("utf-8", "ignore"))
    return content[:end], text[:left], f"cut at byte {end}: {content[:end][-30:]!r}"


def delete(text: Text, chance: Chance) -> Damaged:
    place = a_mark(text, chance)
    return whole(text[:place] + text[place + 1 :], f"deleted {around(text, place)}")


def double(text: Text, chance: Chance) -> Damaged:
    place = a_mark(text, chance)
    return whole(text[: place + 1] + text[place:], f"doubled {around(text, place)}")


def swap(text: Text, chance: Chance) -> Damaged:
    """Swaps a mark with a neighbour, unless a letter leaves a caption or joins one."""
    while True:
        first = a_mark(text, chance) - chance.randrange(2)
        if first >= 0 and first + 1 < len(text):
            left, right = text[first], text[first + 1]
            damaged = [*text[:first], right, left, *text[first + 2 :]]
            beside = [(text[first - 1], right), (left, damaged[min(first + 2, len(text) - 1)])]
            joins = any({one.kind, other.kind} == {"caption", "other"} for one, other in beside)
            if "caption" not in (left.kind, right.kind) and left.text != right.text and not joins:
                return whole(damaged, f"swapped with the next {around(text, first)}")


def whole(text: Text, done: str) -> Damaged:
    return rendered(text).encode(), text, done


def a_mark(text: Text, chance: Chance) -> int:
    return chance.choice([place for place, one in enumerate(text) if one.kind == "mark"])


def around(text: Text, place: int) -> str:
    before, after = rendered(text[max(place - 20, 0) : place]), rendered(text[place:][1:20])
    return f"{text[place].text!r} between {before!r} and {after!r}"


# Damages of entries: objects of JSON, lines.


def damage_key(entry: dict[str, Any], others: list[dict[str, Any]], chance: Chance) -> str:
    """Renames or deletes a key, or adds it again with the value that another entry has there."""
    key = chance.choice(list(entry))
    how = chance.choice(["rename", "delete", "double", "double"])
    if how == "rename":
        new = chance.choice([key.upper(), key + "_", key[1:]])
        items = [(new if name == key else name, value) for name, value in entry.items()]
    elif how == "delete":
        items = [(name, value) for name, value in entry.items() if name != key]
    else:
        values = [other[key] for other in others if other.get(key, entry[key]) != entry[key]]
        if not values:
            return damage_key(entry, others, chance)
        again = (key + "\0", chance.choice(values))
        items = [again, *entry.items()] if chance.random() < 0.5 else [*entry.items(), again]
    before = shown(entry)
    entry.clear()
    entry.update(items)
    return f"{how} key {key!r} of {before}: {shown(entry)}"


def damage_list(entries: list[Any], chance: Chance, is_only: Callable[[int], bool]) -> str:
    """Doubles, deletes or swaps entries; deletes only what is the only one of its image."""
    how = chance.choice(["double", "delete", "swap"])
    one, other = chance.sample(range(len(entries)), 2)
    if how == "double":
        entries.insert(other, entries[one])
    elif how == "swap":
        entries[one], entries[other] = entries[other], entries[one]
    else:
        while not is_only(one):
            one = chance.randrange(len(entries))
        del entries[one]
    return f"{how} entry {one} (and {other})"


def shown(value: Any) -> str:
    return f"{value!r:.160}"


# Formats. Each makes a damaged file.


@dataclasses.dataclass(frozen=True)
class Case:
    """A damaged file, and where its findings may say that a pair was.

    Attributes:
      name: The file.
      content: Its bytes.
      where: For each of PAIRS, the places that a finding may name: "t.csv:7".
      done: What was done to the file.
    """

    name: str
    content: bytes
    where: list[set[str]]
    done: str


def coco(chance: Chance) -> Case:
    ids = {image: 17 * n + 5 for n, image in enumerate(IMAGES)}
    images: list[dict[str, Any]] = [{"id": ids[name], "file_name": name} for name in IMAGES]
    notes: list[dict[str, Any]] = [
        {"id": n, "image_id": ids[image], "caption": text} for n, (image, text) in enumerate(PAIRS)
    ]
    document = {"info": {"year": 2014}, "images": images, "annotations": notes}
    text, done = None, ""
    kind = chance.choice(["text", "key", "key", "list", "names", "top"])
    entries = chance.choice([images, notes])
    given = list(notes), list(images)
    if kind == "text":
        content, text, done = damage_text(json_options(document, chance), chance)
    elif kind == "key":
        done = damage_key(chance.choice(entries), copy.deepcopy(entries), chance)
    elif kind == "list":
        only = [len(CAPTIONS[image]) == 1 for image, _ in PAIRS]
        done = damage_list(entries, chance, lambda n: entries is images or only[n])
    elif kind == "names":
        key = chance.choice(["file_name", "id"])
        one, other = chance.sample(images, 2)
        done = f"{key} of {one} is that of {other}"
        one[key] = other[key]
    else:
        done = damage_key(document, [], Chance(0 if chance.random() < 0.5 else 1))
    if text is None:
        content, _, _ = whole(json_options(document, chance), "")
    where = [
        {f"annotations[{n}]" for n, each in enumerate(notes) if each is note}
        | {f"images[{n}]" for n, each in enumerate(images) if each is given[1][IMAGES.index(image)]}
        for note, (image, _) in zip(given[0], PAIRS, strict=True)
    ]
    return Case("t.json", content, [{f"t.json: {w}" for w in each} for each in where], done)


def karpathy(chance: Chance) -> Case:
    images: list[dict[str, Any]] = []
    for number, image in enumerate(IMAGES):
        folder, _, name = image.rpartition("/")
        images.append({"filepath": folder} if folder else {})
        images[-1] |= {"filename": name, "imgid": number, "split": "train"}
        images[-1]["sentences"] = [{"raw": text, "imgid": number} for text in CAPTIONS[image]]
    given = list(images)
    text, done = None, ""
    kind = chance.choice(["text", "key", "key", "sentence", "list", "names"])
    if kind == "text":
        content, text, done = damage_text(json_options({"images": images}, chance), chance)
    elif kind == "key":
        done = damage_key(chance.choice(images), copy.deepcopy(images), chance)
    elif kind == "sentence":
        sentences = [each for image in images for each in image["sentences"]]
        done = damage_key(chance.choice(sentences), copy.deepcopy(sentences), chance)
    elif kind == "list":
        done = damage_list(images, chance, lambda _: True)
    else:
        one, other = chance.sample([image for image in images if "filepath" not in image], 2)
        done = f"filename of {shown(one)} is that of {shown(other)}"
        one["filename"] = other["filename"]
    if text is None:
        content, _, _ = whole(json_options({"images": images}, chance), "")
    where = [
        {f"t.json: images[{n}]" for n, each in enumerate(images) if each is given[place]}
        for place, image in enumerate(IMAGES)
        for _ in CAPTIONS[image]
    ]
    return Case("t.json", content, where, done)


def json_options(document: Any, chance: Chance) -> Text:
    return json_text(document, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 0]))


def jsonl(chance: Chance) -> Case:
    """A line an image, with all its captions; or a line a caption."""
    by_image = chance.random() < 0.5
    records: list[dict[str, Any]]
    if by_image:
        records = [
            {"file_name": image, "captions": texts if len(texts) > 1 else texts[0], "n": n}
            for n, (image, texts) in enumerate(CAPTIONS.items())
        ]
    else:
        records = [{"file_name": image, "captions": text} for image, text in PAIRS]
    kind = chance.choice(["text", "text", "key", "list"])
    lines, done = list(enumerate(records)), ""
    if kind == "key":
        done = damage_key(chance.choice(records), copy.deepcopy(records), chance)
    elif kind == "list":
        only = [by_image or len(CAPTIONS[record["file_name"]]) == 1 for record in records]
        done = damage_list(lines, chance, lambda n: only[n])
    text: Text = []
    for number, record in lines:
        text += json_text(record, number, ensure_ascii=False)
        text.append(Character("\n", "mark", number))
    content = rendered(text).encode()
    if kind == "text":
        content, text, done = damage_text(text, chance)
    lines_of = places(text)
    entries = [IMAGES.index(image) if by_image else n for n, (image, _) in enumerate(PAIRS)]
    where = [{f"t.jsonl:{line}" for line in lines_of.get(entry, ())} for entry in entries]
    return Case("t.jsonl", content, where, f"{done}; by_image={by_image}")


def csv(chance: Chance) -> Case:
    quotes_all = chance.random() < 0.4
    order = chance.choice([(0, 1, 2), (0, 2, 1), (2, 0, 1)])
    header = ["file_name", "caption", "n"]
    rows = [[*pair, str(number)] for number, pair in enumerate(PAIRS)]
    lines, done = list(enumerate(rows)), ""
    kind = chance.choice(["text", "text", "text", "list", "header", "name"])
    if kind == "list":
        only = [len(CAPTIONS[image]) == 1 for image, _ in PAIRS]
        done = damage_list(lines, chance, lambda n: only[n])
    elif kind == "header":
        column = chance.randrange(3)
        header[column] = chance.choice([header[column][1:], header[column] * 2, header[column - 1]])
        done = f"header {header}"
    elif kind == "name":
        row = chance.choice(rows)
        done = f"name {row[0]!r} twice in its cell"
        row[0] += row[0]
    text = csv_line([header[column] for column in order], -1, order, quotes_all)
    for number, row in lines:
        text += csv_line([row[column] for column in order], number, order, quotes_all)
    content = rendered(text).encode()
    if kind == "text":
        content, text, done = damage_text(text, chance)
    lines_of = places(text)
    where = [{f"t.csv:{line}" for line in lines_of.get(n, ())} for n in range(len(PAIRS))]
    return Case("t.csv", content, where, f"{done}; quotes_all={quotes_all}, order={order}")


def csv_line(cells: list[str], number: int, order: tuple[int, ...], quotes_all: bool) -> Text:
    text: Text = []
    for column, cell in zip(order, cells, strict=True):
        kind = "caption" if column == 1 and number >= 0 else "other"
        quote = [Character('"', "mark", number)] if quotes_all or re.search('[",]', cell) else []
        text += quote
        for character in cell:
            text += quote * 2 if character == '"' else [Character(character, kind, number)]
        text += [*quote, Character(",", "mark", number)]
    return [*text[:-1], Character("\n", "mark", number)]


def shard(chance: Chance) -> Case:
    members: list[tuple[str, bytes]] = []
    for number, (image, texts) in enumerate(CAPTIONS.items()):
        members.append((image, chance.randbytes(chance.choice([300, 700]))))
        if number % 3:
            members.append((f"{image[:-4]}.txt", "\n".join(texts).encode()))
        else:
            fields = json.dumps({"captions": texts, "n": number})
            members.append((f"{image[:-4]}.json", fields.encode()))
    kind = chance.choice(["cut", "border", "flip", "name", "name", "swap", "block"])
    if kind == "swap":
        one, other = chance.sample(range(len(members)), 2)
        members[one], members[other] = members[other], members[one]
        done = f"members {one} and {other} swapped"
    if kind == "name":
        one, other = chance.sample(range(len(members)), 2)
        name = members[one][0]
        new = chance.choice(
            [members[other][0], f"x{name}", name[:-1], members[other][0][:-4] + name[-4:]]
        )
        members[one] = new, members[one][1]
        done = f"member {name!r} is called {new!r}"
    parts = [member(*each) for each in members]
    content = b"".join([*parts, bytes(1024)])
    if kind == "cut":
        end = chance.randrange(1, len(content))
        content, done = content[:end], f"cut at byte {end}"
    elif kind == "border":
        kept = chance.randrange(1, len(parts))
        content, done = b"".join(parts[:kept]), f"cut after {members[kept - 1][0]!r}"
    elif kind == "flip":
        start = len(b"".join(parts[: chance.randrange(len(parts))]))
        place = start + chance.randrange(512)
        flipped = content[place] ^ 1 << chance.randrange(8)
        content = content[:place] + bytes([flipped]) + content[place + 1 :]
        done = f"byte {place - start} of the header at {start} flipped to {flipped}"
    elif kind == "block":
        start = 512 * chance.randrange(len(content) // 512)
        content = content[: start + 512] + content[start:]
        done = f"block at {start} doubled"
    where = [{f"t.tar: {image[:-4]}.{end}" for end in ("txt", "json", "png")} for image, _ in PAIRS]
    return Case("t.tar", content, where, done)


def member(name: str, content: bytes) -> bytes:
    header = tarfile.TarInfo(name)
    header.size = len(content)
    return header.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


# What is wrong with what was read.

_WHOLE = re.compile(r"line feed|newline|cut|ends|tar header|after its end|damaged")


def faults(pairs: Pairs, case: Case) -> list[str]:
    """Pairs that the undamaged file does not hold, and lost ones that no finding accounts for."""
    prefix = "t.tar/" if case.name == "t.tar" else ""
    found = Counter(
        (image.removeprefix(prefix), caption)
        for row, image in enumerate(pairs.images)
        for caption in pairs.captions_of(row)
    )
    findings = pairs.report.findings
    of_file = any(f.path.split(":")[0] == case.name and _WHOLE.search(f.detail) for f in findings)
    reported = [
        f for f in findings if f.is_problem or f.kind in ("blank_caption", "duplicate_caption")
    ]
    wrong = [
        pair
        for pair in found
        if pair not in PAIRS and not is_spared(pair, of_file and "cut" in case.done)
    ]
    twice = [
        pair
        for pair, count in found.items()
        if count > 1 and not is_named(pair[0], set(), reported, prefix)
    ]
    lost = [
        pair
        for pair, where in zip(PAIRS, case.where, strict=True)
        if not any(is_same(pair, other) for other in found)
        and not (of_file or is_named(pair[0], where, reported, prefix))
    ]
    return [
        *(f"wrong: {pair}" for pair in wrong),
        *(f"twice: {pair}" for pair in twice),
        *(f"lost: {pair}" for pair in lost),
    ]


def is_spared(pair: tuple[str, str], may_be_cut: bool) -> bool:
    """Whether a damage may have made this of a caption: other quotes, or the last line's cut."""
    image, caption = pair
    cut_short = may_be_cut and any(text.startswith(caption) for text in CAPTIONS[image])
    return cut_short or any(is_same((image, text), pair) for text in CAPTIONS[image])


def is_same(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two pairs are the same but for quotes: a quote too many may be one of the text."""
    return one[0] == other[0] and one[1].replace('"', "") == other[1].replace('"', "")


def is_named(image: str, where: set[str], reported: list[Finding], prefix: str) -> bool:
    """Whether a finding names an image, or one of the places of its entry."""
    texts = [text for finding in reported for text in (*lines(finding), finding.detail)]
    return any(
        re.search(rf"{re.escape(name)}(?!\d)", text)
        for name in [*where, prefix + image]
        for text in texts
    )


def lines(finding: Finding) -> list[str]:
    """The path of a finding; for one that covers several lines, the path of each."""
    file, colon, line = finding.path.rpartition(":")
    if not (line.isdigit() and finding.count > 1):
        return [finding.path]
    return [f"{file}{colon}{int(line) + n}" for n in range(finding.count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write: Write) -> pathlib.Path:
    root = tmp_path_factory.mktemp("damage")
    write(root / "images", dict.fromkeys(IMAGES, ""))
    return root


@pytest.mark.parametrize("form", [coco, karpathy, csv, jsonl, shard])
def test_damages(folder: pathlib.Path, form: Callable[[Chance], Case]) -> None:
    found: list[str] = []
    refused = 0
    for seed in range(DAMAGES):
        case = form(Chance(seed))
        (folder / case.name).write_bytes(case.content)
        try:
            pairs = read(folder, case.name)
        except ValueError:
            refused += 1
            continue
        found += [f"seed {seed}, {case.done}:\n    {fault}" for fault in faults(pairs, case)[:1]]
    assert refused < 0.7 * DAMAGES
    if found:
        pytest.fail("\n".join([f"{len(found)} damages:", *found[:5]]), pytrace=False)


def read(folder: pathlib.Path, name: str) -> Pairs:
    if name.endswith(".tar"):
        return mmdata.read(folder / name, on_problem="drop")
    return mmdata.read(folder / "images", folder / name, on_problem="drop")


@pytest.mark.parametrize("form", [coco, karpathy, csv, jsonl, shard])
def test_undamaged(
    folder: pathlib.Path, form: Callable[[Chance], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file before its damage holds all pairs, so that the check above sees each loss."""
    monkeypatch.setitem(globals(), "damage_text", lambda text, _: whole(text, ""))
    for seed in range(4):
        case = form(Undamaging(seed))
        (folder / case.name).write_bytes(case.content)
        pairs = read(folder, case.name)
        assert pairs.pair_count == len(PAIRS)
        assert not faults(pairs, case)
        assert not pairs.report.problems


class Undamaging(random.Random):
    """Chooses the text, or the swap of members, which harms nothing."""

    def choice(self, seq: Any) -> Any:
        return next((kind for kind in ("text", "swap") if kind in seq), seq[0])


# The end of a file.

LINES = {
    "CSV": ("t.csv", "file_name,text,n\na.png,one,1\nb.png,two,2\n"),
    "TSV": ("t.tsv", "file_name\ttext\na.png\tone\nb.png\ttwo\n"),
    "CSV of Windows": ("t.csv", "file_name,text,n\r\na.png,one,1\r\nb.png,two,2\r\n"),
    "CSV with quotes": ("t.csv", 'file_name,text\n"a.png","one, 1"\n"b.png","two"\n'),
    "JSONL": ("t.jsonl", '{"image": "a.png", "text": "one"}\n{"image": "b.png", "text": "two"}\n'),
    "Flickr8k": ("t.token.txt", "a.png#0\tone\nb.png#0\ttwo\n"),
    "Flickr30k": ("t.csv", "image_name| comment_number| comment\na.png| 0| one\nb.png| 0| two\n"),
    "Kaggle": ("captions.txt", "image,caption\na.png,one, two\nb.png,two\n"),
}


@pytest.mark.parametrize(("name", "content"), LINES.values(), ids=LINES)
def test_last_line_without_an_end(
    tmp_path: pathlib.Path, write: Write, name: str, content: str
) -> None:
    images = write(tmp_path / "images", {"a.png": "", "b.png": ""})
    write(tmp_path, {name: content})
    assert not mmdata.read(images, tmp_path / name).report.findings
    write(tmp_path, {name: content.rstrip()})
    pairs = mmdata.read(images, tmp_path / name)
    assert [pairs.captions_of(row)[0][:3] for row in range(2)] == ["one", "two"]
    (notice,) = pairs.report.findings
    assert not notice.is_problem
    assert notice.path.split(":")[0] == name
    assert re.search("line feed|newline|cut", notice.detail)
