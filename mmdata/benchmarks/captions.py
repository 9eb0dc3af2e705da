"""Which captions are read."""

import dataclasses
import functools
import itertools
import pathlib
import statistics
from collections.abc import Callable, Iterator

import numpy as np

from mmdata.pairing import recognition
from mmdata.pairing.folders import require_exists
from mmdata.pairing.layouts import coco, flickr, karpathy, tables
from mmdata.pairing.layouts.documents import Document, load, one_line
from mmdata.pairing.layouts.table_columns import Columns
from mmdata.pairing.listing import Listing
from mmdata.pairing.texts import TextDecoder, explain, split_captions
from mmdata.printable import printable

_DECODER = TextDecoder()
_LISTED: dict[str, Callable[[str], Listing]] = {
    "flickr": functools.partial(flickr.read, decoder=_DECODER),
    "metadata": functools.partial(tables.read, columns=Columns(), decoder=_DECODER),
}
_LISTED_IN_JSON: dict[str, Callable[[Document], Listing]] = {
    "coco": coco.read,
    "karpathy": karpathy.read,
    "metadata": lambda document: tables.read(
        document.path, columns=Columns(), decoder=_DECODER, document=document
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captions:
    """Captions, chosen from a file or a folder.

    Attributes:
      texts: A line each.
      source: The name of the file or folder.
    """

    texts: tuple[str, ...]
    source: str

    @property
    def words(self) -> float:
        """Median of the words of a caption, as white space parts them."""
        return statistics.median(len(text.split()) for text in self.texts)

    def __str__(self) -> str:
        """How many, of what length, in a line."""
        source = printable(self.source)
        return f"{len(self.texts):,} caption(s) of {source}, median {self.words:.0f} words"

    def repeated(self, count: int) -> tuple[str, ...]:
        """So many captions, in turn."""
        return tuple(itertools.islice(itertools.cycle(self.texts), count))


def choose(path: pathlib.Path, most: int) -> Captions:
    """Chooses at most so many of the captions, evenly from the first to the last.

    White space in a caption becomes single spaces, so that each is a line.

    Args:
      path: A file of captions as `mmdata.read` takes it, whatever images it names; a `.txt` file of
        one caption a line; or a folder of such, searched with its subfolders.
      most: Captions at most.

    Raises:
      FileNotFoundError: There is nothing at the path.
      ValueError: It holds no captions, or cannot be read.
    """
    require_exists(str(path), "captions")
    texts = list(filter(None, map(one_line, _read(path))))
    if not texts:
        raise ValueError(
            f"captions=... must hold captions; got {str(path)!r}, which holds none. Pass a file "
            "that mmdata.read takes for captions, a .txt file of one a line, or a folder of such."
        )
    rows = np.linspace(0, len(texts) - 1, min(most, len(texts))).astype(int)
    return Captions(texts=tuple(texts[row] for row in rows), source=path.name)


def _read(path: pathlib.Path) -> Iterator[str]:
    if path.suffix.lower() == ".json" and path.is_file():
        document = load(str(path), _DECODER)
        listing = _LISTED_IN_JSON[recognition.of_json(document.value)](document)
        yield from itertools.chain.from_iterable(listing.captions or ())
        return
    layout = recognition.recognise("", str(path))
    if layout == "sidecar":
        for file in sorted(path.rglob("*.txt")):
            yield from _lines(file)
    elif layout == "metadata" and path.suffix.lower() == ".txt":
        yield from _lines(path)
    else:
        yield from itertools.chain.from_iterable(_LISTED[layout](str(path)).captions or ())


def _lines(file: pathlib.Path) -> list[str]:
    try:
        text, _ = _DECODER.decode(file.read_bytes())
    except UnicodeDecodeError as err:
        raise ValueError(f"{file}: not text in UTF-8: {explain(err)}.") from err
    return split_captions(text, "each")[0]
