"""The format on disk can be read without mmdata, NumPy and Python."""

import json
import os
import pathlib
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from mmdata.storage import row_store
from mmdata.storage.row_store import Store

READ = """
const fs = require("fs"), path = require("path"), zlib = require("zlib");
const folder = process.argv[1];
const manifest = JSON.parse(fs.readFileSync(path.join(folder, "manifest.json"), "utf8"));

function numbers(column, known, rows) {
  const file = fs.readFileSync(path.join(folder, known.file));
  if (file.length !== known.bytes) throw new Error("bytes");
  const begin = 10 + file.readUInt16LE(8);
  const shape = [rows, ...column.shape].join(", ") + (column.shape.length ? "" : ",");
  const header = file.toString("latin1", 10, begin);
  for (const part of [`'descr': '${column.dtype}'`, `'shape': (${shape})`, ": False"])
    if (!header.includes(part)) throw new Error(header);
  const data = file.subarray(begin);
  let crc = -1;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  if ((~crc >>> 0) !== known.crc32) throw new Error("crc32");
  const bytes = new Uint8Array(data).buffer;
  const kinds = {"|u1": Uint8Array, "<f4": Float32Array, "<i8": BigInt64Array};
  return Array.from(new kinds[column.dtype](bytes), String);
}

const columns = {};
for (const shard of manifest.shards)
  for (const [name, known] of Object.entries(shard.files))
    (columns[name] ??= []).push(...numbers(manifest.columns[name], known, shard.rows));
console.log(JSON.stringify({rows: manifest.rows, settings: manifest.settings, columns}));
"""


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "shape"), [("uint8", (5, 4, 3)), ("float32", ())])
def test_read_in_node(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, dtype: str, shape: tuple[int, ...]
) -> None:
    node = shutil.which("node") or "node"
    if not shutil.which(node) and "CI" not in os.environ:
        pytest.skip("needs Node.js")
    row_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    monkeypatch.setattr(row_store, "_SHARD", 4 * row_bytes)
    generator = np.random.default_rng(0)
    rows = (generator.random((10, *shape)) * 255).astype(dtype)
    identities = generator.integers(-(2**63), 2**63, (10, 2))
    checksums = generator.integers(1, 2**63, 10)
    settings = {"size": [5, 4], "name": "é \u2028", "largest": 2**53, "ratio": 0.1}
    store = Store(tmp_path, settings=settings, shape=shape, dtype=np.dtype(dtype))
    store.fill(identities, lambda p: [(p, rows[p])], lambda p: checksums[p], what="test")
    out = subprocess.run(
        [node, "-e", READ, str(store.folder)], capture_output=True, text=True, check=True
    ).stdout
    known: dict[str, Any] = json.loads(out)
    assert (known["rows"], known["settings"]) == (10, settings)
    numbers = np.array(list(map(float, known["columns"]["row"])), dtype).reshape(rows.shape)
    assert np.array_equal(numbers, rows)
    files = np.array(list(map(int, known["columns"]["identity"]))).reshape(10, 3)
    assert np.array_equal(files, np.column_stack([identities, checksums]))
