"""`mmdata pair` and `mmdata verify`: what pairs, and what can be decoded."""

import sys

import click

from mmdata.cli.options import Read, as_json, print_report, quiet_tensorflow
from mmdata.cli.sources import sources
from mmdata.pairs.findings import PairingReport


@click.command()
@sources
@as_json
def pair(read: Read, as_json: bool) -> None:
    """Print what pairs and what does not. Opens no image.

    Exits with 1 if something does not pair or cannot be read.
    """
    _print_report(read("drop").report, as_json)


@click.command()
@sources
@as_json
def verify(read: Read, as_json: bool) -> None:
    """Decode every image, and print what fails or does not pair.

    Exits with 1 if there is a problem. The result is stored: training on the same files knows in
    advance which images cannot be decoded.
    """
    pairs = read("drop")
    with quiet_tensorflow():
        from mmdata.images.verify import verify as verify_pairs

        _print_report(verify_pairs(pairs).report, as_json)


def _print_report(report: PairingReport, as_json: bool) -> None:
    print_report(report, as_json)
    sys.exit(1 if report.problems else 0)
