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
    changed = [
        key for key in output if not golden.same(KNOWN[name]["output"].get(key), output[key])
    ]
    assert changed == [], advice
    assert output.keys() == KNOWN[name]["output"].keys()


def test_a_change_is_detected() -> None:
    output = KNOWN["pixels"]["output"]
    key = next(iter(output))
    assert golden.same(output, output)
    assert not golden.same(output, output | {key: [value + 2 for value in output[key]]})
    assert not golden.same(output, output | {key: [value + 1 for value in output[key]]})
    assert not golden.same({"ids": [1, 2]}, {"ids": [1, 3]})


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
