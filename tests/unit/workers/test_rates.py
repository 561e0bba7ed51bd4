"""Rates that workers keep together."""

import asyncio

import pytest

from collector.board import Board, admitted, granted
from collector.config import parse
from collector.workers import rates
from collector.workers.rates import Rates
from tests.unit.listeners.conftest import until


def config(rate):
    return parse(
        f"""
listeners: [{{name: l, transport: udp, host: 127.0.0.1, port: 0}}]
intakes:
  - {{name: i, parser: raw, key: k, max_rate: {{events_per_second: {rate}}}}}
  - {{name: j, parser: raw, key: m}}
sinks: [{{name: s, url: "http://127.0.0.1/"}}]
""",
        source="test",
        environ={},
    )


@pytest.fixture
async def shown():
    """Return a board on which rates go on."""
    shown = Board.alone()
    shown.rates = Rates(shown)
    task = asyncio.create_task(shown.rates.go_on())
    yield shown
    task.cancel()


async def test_what_a_rate_allows_is_granted_as_time_passes(shown, monkeypatch):
    """By other settings at once, also where there was no rate before."""
    monkeypatch.setattr(rates, "IDLE_SECONDS", 0.01)
    shown.rates.configure(config(1000))
    column = shown.column(granted("i"))
    before = column.value
    shown.column(admitted("i")).add(500)
    await until(lambda: column.value > before)
    assert granted("j") not in shown.columns
