"""A report as one HTML file that needs no network and no other file."""

import base64
import dataclasses
import hashlib
import html
import importlib.resources
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from mmdata.explore.files import writable
from mmdata.printable import printable
from mmdata.storage.shards import put

if TYPE_CHECKING:
    from _typeshed import StrPath

_TEMPLATES = importlib.resources.files("mmdata.explore") / "templates"
_FRAME = "width:100%;height:80vh;border:1px solid #8888"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Page:
    """A report, which Jupyter shows and `save` writes.

    Attributes:
      html: The page.
      figures: Its figures, as plain values for JSON.
    """

    html: str
    figures: Mapping[str, Any]

    def __repr__(self) -> str:
        images, captions = (f"{self.figures[name]:,} {name}" for name in ("images", "captions"))
        return f"<mmdata.report: {images}, {captions}, {len(self.html) / 1e6:.1f} MB>"

    def save(self, path: "StrPath") -> None:
        """Writes the page in one step; the file is never half-written.

        Raises:
          OSError: The folder does not exist; or there is a folder or a device at `path`.
        """
        put(writable(path), self.html.encode())

    def _repr_html_(self) -> str:
        # Sandboxed, the page can neither read nor change the notebook that shows it.
        source = html.escape(self.html, quote=True)
        return (
            f'<iframe title="mmdata report" sandbox="allow-scripts" style="{_FRAME}" '
            f'srcdoc="{source}"></iframe>'
        )


def render(page: Any) -> str:
    """Fills the template; escapes all values of `page`, and allows no script but our own.

    Texts become printable, without control characters: even inside a `<bdi>`, bidirectional ones
    could change the text around it, after a U+2069.
    """
    script = (_TEMPLATES / "report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    environment = jinja2.Environment(
        autoescape=True,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.from_string((_TEMPLATES / "report.html").read_text("utf-8"))
    return template.render(
        page=page,
        script=Markup(script),
        script_hash=Markup(f"sha256-{digest}"),
        style=Markup((_TEMPLATES / "report.css").read_text("utf-8")),
    )


def _printable(value: Any) -> Any:
    """Makes a text printable; `Markup` is our own, and stays unchanged."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_text else value
