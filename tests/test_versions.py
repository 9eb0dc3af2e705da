"""Outputs change only with their version; keys do not change with a release."""

import importlib.metadata
import json
import pathlib
from typing import Any

import golden  # type: ignore[import-not-found]
import pytest

import mmdata
from mmdata.tokenizers import LEARNED

SAMPLES = pathlib.Path(__file__).parents[1] / "sample_data"
KNOWN = json.loads(golden.PATH.read_text())


@pytest.mark.parametrize("name", golden.OUTPUTS)
def test_outputs_change_only_with_their_version(name: str) -> None:
    advice = f"raise {name.upper()}_VERSION, then run `python tests/golden.py`"
    assert KNOWN[name]["version"] == golden.version_of(name), advice
    output = golden.OUTPUTS[name]()
    assert golden.changed(name, KNOWN[name]["output"], output) == [], advice
    assert output.keys() == KNOWN[name]["output"].keys(), "run `python tests/golden.py`"


def test_a_change_is_noticed() -> None:
    was = {"a": [7] * 60, "b": [8, 9]}
    assert golden.changed("pixels", was, was) == []
    assert golden.changed("pixels", was, {"a": [7] * 59 + [8], "b": [8, 9]}) == []
    assert golden.changed("pixels", was, {"a": [7] * 59 + [9], "b": [8, 9]}) == ["a"]
    assert golden.changed("pixels", was, {"a": [8] * 60, "b": [8]}) == ["a", "b"]
    assert golden.changed("pixels", {"a": [0.5, 0.25]}, {"a": [0.5, 0.255]}) == ["a"]
    assert golden.changed("text", was, {"a": [7] * 59 + [8], "b": [8, 9]}) == ["a"]
    assert golden.changed("text", was, {"b": [8, 9]}) == ["a"]


def test_a_release_keeps_caches_vocabularies_and_positions(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, home: pathlib.Path
) -> None:
    def build() -> Any:
        folders = SAMPLES / "images" / "night", SAMPLES / "captions" / "night"
        return mmdata.build(*folders, text="word", image_size=(8, 8), cache=tmp_path)

    def files() -> dict[str, bytes]:
        folders = tmp_path, home / "vocabularies"
        return {str(f): f.read_bytes() for d in folders for f in d.rglob("*") if f.is_file()}

    settings, kept = build().settings, files()
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.1.1")
    monkeypatch.setattr(mmdata, "__version__", "0.1.1")
    for kind in LEARNED.values():
        monkeypatch.setattr(kind, "learn", None)
    assert build().settings == settings
    assert files() == kept
    assert any(name.endswith(".npy") for name in kept)
    assert not [name for name, content in kept.items() if b"Decode(" in content]
