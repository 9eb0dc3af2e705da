"""What the README says works."""

import pathlib
import re
import runpy
from typing import get_args

import pytest
from click.testing import CliRunner

from mmdata.cli import main
from mmdata.pairs.findings import Finding, Kind

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_quickstart_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (quickstart,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in quickstart.splitlines() if line.strip()]) <= 12
    script = tmp_path / "quickstart.py"
    script.write_text(quickstart, "utf-8")
    monkeypatch.chdir(ROOT)
    names = runpy.run_path(str(script))
    assert len(names["captions"]) > 0


def test_commands_print_what_the_readme_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    ((words, output),) = re.findall(r"```\n\$ mmdata (.*?)\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(ROOT)
    assert CliRunner().invoke(main, words.split()).output == output


def test_every_kind_of_finding_is_explained() -> None:
    rows = re.findall(
        r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \| (problem|notice) \| \w", README, re.MULTILINE
    )
    kinds = [(kind, what) for names, what in rows for kind in re.findall(r"[a-z_]+", names)]
    assert kinds == [
        (kind, "problem" if Finding(kind, "").is_problem else "notice") for kind in get_args(Kind)
    ]


def test_files_that_are_linked_exist() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r'src="([^":]+)"', README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
