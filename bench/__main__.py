"""`python -m bench`: lists the load programs and starts one."""

from __future__ import annotations

import click

from bench.compare import compare
from bench.contention import contention
from bench.hot import hot
from bench.news import news
from bench.scale import scale
from bench.soak import soak


@click.group(commands=[compare, contention, hot, news, scale, soak])
def bench() -> None:
    """Put load on a running Stockroom and check what it promises."""


if __name__ == "__main__":
    bench(prog_name="python -m bench")
