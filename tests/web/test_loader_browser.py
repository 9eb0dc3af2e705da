"""`mmdata.js` in Chromium: other origins, faults, Workers, long tasks; memory there and in Node."""

import json
import pathlib
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import mmdata
from tests.web.many_shards import Encoding, smooth_images, write_shards
from tests.web.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

HERE = pathlib.Path(__file__).parent
SHARDS = 50
ENCODINGS: tuple[Encoding, ...] = ("png", "npy")

READ = """async ([module, url, options, batches]) => {
    const { open } = await import(module);
    try {
        const data = await open(url, options);
        const ids = [];
        for await (const batch of data.batches(batches)) ids.push(...batch.imageIds);
        data.close();
        return ids.length;
    } catch (error) {
        return error.message;
    }
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An empty page, `mmdata.js`, and exports of 50 shards in both encodings."""
    root = tmp_path_factory.mktemp("site")
    (root / "index.html").write_text("<!doctype html><title>Empty</title>")
    shutil.copytree(pathlib.Path(mmdata.__file__).parent / "web", root / "mmdata")
    images = smooth_images(SHARDS * 64, 64)
    for encoding in ENCODINGS:
        write_shards(root / encoding, [images[i::SHARDS] for i in range(SHARDS)], encoding)
    return root


@pytest.fixture(scope="module")
def server(site: pathlib.Path) -> Iterator[Server]:
    with Server(site) as server:
        yield server


@pytest.fixture(scope="module")
def other(site: pathlib.Path) -> Iterator[Server]:
    """The same site at another origin."""
    with Server(site) as server:
        yield server


@pytest.fixture
def page(browser: "Browser", server: Server) -> Iterator["Page"]:
    page = browser.new_page()
    page.goto(server.url)
    yield page
    page.close()


@pytest.mark.parametrize("worker", [False, True])
def test_data_and_module_of_another_origin(page: "Page", other: Server, worker: bool) -> None:
    module = f"{other.url}mmdata/mmdata.js"
    for encoding in ENCODINGS:
        found = page.evaluate(READ, [module, f"{other.url}{encoding}", {"worker": worker}, {}])
        assert found == SHARDS * 64


@pytest.mark.parametrize("worker", [False, True])
def test_faults_have_their_own_messages(
    page: "Page", server: Server, other: Server, worker: bool
) -> None:
    cases = [
        (other, "no-cors:.image.", 'must answer with the header "Access-Control-Allow-Origin'),
        (server, "drop:.image.", "the connection failed twice"),
        (server, "missing:.image.", "the server answered 404"),
        (server, "flip:.image.", "is damaged: its checksum"),
        (server, "cut:.image.", "is cut off: got"),
        (server, "html:manifest", "The server sent an HTML page instead"),
        (server, "missing:manifest", "must be the folder of an export"),
        (other, "no-cors:manifest", f'"Access-Control-Allow-Origin: {server.url[:-1]}" (CORS)'),
    ]
    for encoding in ENCODINGS:
        for host, fault, message in cases:
            arguments = ["./mmdata/mmdata.js", f"{host.url}{fault}/{encoding}/", {"worker": worker}]
            found = page.evaluate(READ, [*arguments, {"batchSize": 256}])
            assert message in str(found), (encoding, fault)


def test_ignored_ranges_still_work(page: "Page", server: Server) -> None:
    url = f"{server.url}no-ranges:.image./npy"
    assert page.evaluate(READ, ["./mmdata/mmdata.js", url, {}, {}]) == SHARDS * 64


def test_a_worker_leaves_the_page_responsive(page: "Page") -> None:
    read = """async ([encoding, batches]) => {
        const { open } = await import("./mmdata/mmdata.js");
        const tasks = [];
        new PerformanceObserver((list) => tasks.push(...list.getEntries()))
            .observe({ entryTypes: ["longtask"] });
        const data = await open(encoding, { worker: true });
        let count = 0;
        for await (const batch of data.batches({ ...batches, normalize: true }))
            count += batch.rows.length;
        data.close();
        await new Promise((resolve) => setTimeout(resolve, 100));
        const ours = tasks.map(({ duration }) => duration);
        for (const begin = performance.now(); performance.now() < begin + 100; );
        await new Promise((resolve) => setTimeout(resolve, 100));
        return [count, ours, tasks.length - ours.length];
    }"""
    for encoding in ENCODINGS:
        for attempt in range(3):  # on a busy machine, any task may be long
            count, long_tasks, of_loop = page.evaluate(read, [encoding, {}])
            assert count == SHARDS * 64
            assert of_loop
            if not long_tasks:
                break
            assert attempt < 2, long_tasks


def require_flat(measured: list[float]) -> None:
    """After the first epoch, memory stays within 10 %."""
    assert max(measured[1:]) <= 1.1 * min(measured[1:]), measured


def halves(measured: list[float]) -> list[float]:
    """The first epoch, and the medians of the earlier and the later half of the others.

    A process is never measured between two files, as a page is after garbage collection.
    """
    middle = len(measured) // 2 + 1
    parts = measured[1:middle], measured[middle:]
    return [measured[0], *map(statistics.median, parts)]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_memory_in_chromium_is_flat(page: "Page", encoding: str) -> None:
    tools = page.context.new_cdp_session(page)
    page.evaluate(
        """async (encoding) => {
        const { open } = await import("./mmdata/mmdata.js");
        globalThis.data = await open(encoding, { cacheBytes: 8 * 1024 * 1024 });
    }""",
        encoding,
    )
    measured = []
    for epoch in range(7):
        page.evaluate(
            """async (epoch) => {
            const at = epoch * data.stepsPerEpoch();
            for await (const batch of data.batches({ at, shuffle: "blocks" })) batch.images[0];
        }""",
            epoch,
        )
        tools.send("HeapProfiler.collectGarbage")
        usage = tools.send("Runtime.getHeapUsage")
        measured.append(usage["usedSize"] + usage["backingStorageSize"])
    require_flat(measured)
    assert measured[-1] < 32 * 2**20


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_memory_in_node_is_flat(node: str, site: pathlib.Path, encoding: str) -> None:
    # A small heap in MiB, since V8 lets a large one grow in steps.
    heap = ["--expose-gc", "--max-semi-space-size=1", "--max-old-space-size=40"]
    script = [node, *heap, str(HERE / "measure_memory.js")]
    for shuffle in (True, "blocks") if encoding == "npy" else ("blocks",):
        arguments = [str(site / "mmdata/mmdata.js"), str(site / encoding), json.dumps(shuffle)]
        done = subprocess.run([*script, *arguments], stdout=subprocess.PIPE, check=True, text=True)
        require_flat(halves(json.loads(done.stdout)))
