"""The fingerprint of decoders: of their pixels, and not of their versions."""

import importlib.metadata
from typing import Any

import pytest

from mmdata.files import pillow as pillow_files
from mmdata.images import decode, decode_in_graph, decoder_fingerprint
from mmdata.stages.resize import Resize


def fingerprint() -> str:
    decoder_fingerprint.decoders_fingerprint.cache_clear()
    return decoder_fingerprint.decoders_fingerprint()


@pytest.fixture
def usual() -> Any:
    yield fingerprint()
    decoder_fingerprint.decoders_fingerprint.cache_clear()


def test_versions_do_not_matter(usual: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "99")
    assert fingerprint() == usual
    assert len(usual) == 32


def brighter(function: Any) -> Any:
    return lambda *arguments, **options: function(*arguments, **options) ^ 1


def test_pixels_of_pillow_matter(usual: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "decode", brighter(decode.decode))
    assert fingerprint() != usual


@pytest.mark.parametrize("kind", decode_in_graph._DECODERS)
def test_pixels_of_each_format_matter(
    usual: str, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    monkeypatch.setitem(decode_in_graph._DECODERS, kind, brighter(decode_in_graph._DECODERS[kind]))
    assert fingerprint() != usual


def test_resizing_matters(usual: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Resize.__call__

    def call(stage: Resize, example: Any) -> Any:
        resized = real(stage, example)
        return {**resized, "image": resized["image"] ^ 1}

    monkeypatch.setattr(Resize, "__call__", call)
    assert fingerprint() != usual


def test_a_library_that_is_not_installed(usual: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def require(*_: Any, **__: Any) -> Any:
        raise ImportError("pillow_heif")

    monkeypatch.setattr(pillow_files, "require", require)
    assert fingerprint() != usual
