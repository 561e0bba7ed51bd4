"""A real Prometheus that judges by `deploy/prometheus`, and the dashboard that asks it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import yaml

from tests.daemon import free_port
from tests.peers import require
from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SETTINGS: Final = ROOT / "deploy" / "prometheus"
RULES: Final = SETTINGS / "collector.rules.yml"
DASHBOARD: Final = json.loads((ROOT / "deploy" / "grafana" / "collector.json").read_text())

QUERY_LABELS: Final = re.compile(r"label_values\((.+), (\w+)\)")
"""How a variable of the dashboard asks for its values: series and label."""

SECONDS: Final = 60.0


def rules() -> list[dict[str, Any]]:
    """Return every rule, in order."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Return every panel of the dashboard that shows something."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def substituted(expression: str, values: Mapping[str, str]) -> str:
    """Return an expression of the dashboard with Grafana's variables filled in."""
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)


class Prometheus:
    """Runs while used as an asynchronous context manager; scrapes and judges every second.

    It scrapes nothing in its first five seconds, in which its targets may start.

    Args:
        directory: where its settings and data go; it must be there.
        targets: what it scrapes, by the name that each is to have as `instance`.

    Attributes:
        log: what it wrote, complete at its end.
    """

    def __init__(self, directory: Path, targets: Mapping[str, str]) -> None:
        self._directory = directory
        self._targets = targets
        self.log = ""

    async def __aenter__(self) -> Self:
        program, port = require("prometheus"), free_port()
        self._configure()
        self._process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={self._directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--scrape.discovery-reload-interval=100ms",  # else up to five seconds more
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read_log())
        self._session = aiohttp.ClientSession(f"http://127.0.0.1:{port}")
        try:
            await self._answering()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    def _configure(self) -> None:
        """Write the settings of `deploy`, with other targets and a shorter interval."""
        settings = yaml.safe_load((SETTINGS / "prometheus.yml").read_text())
        # A scrape may take no longer than the time between two: on a busy machine one is missed.
        settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        settings["rule_files"] = [str(RULES)]
        (job,) = settings["scrape_configs"]
        job["static_configs"] = [
            {"targets": [address], "labels": {"instance": name}}
            for name, address in self._targets.items()
        ]
        (self._directory / "prometheus.yml").write_text(yaml.safe_dump(settings))

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        self.log = (await self._process.stderr.read()).decode()

    async def _answering(self) -> None:
        async with asyncio.timeout(SECONDS):
            while True:
                assert self._process.returncode is None, "Prometheus has ended"
                try:
                    async with self._session.get("/-/ready") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass
                await asyncio.sleep(0.1)

    async def ask(self, path: str, **parameters: str) -> Any:
        """Return what its API answers.

        Args:
            path: below `/api/v1`.
            parameters: of the query; `match` stands for `match[]`.
        """
        query = {"match[]" if name == "match" else name: v for name, v in parameters.items()}
        async with self._session.get(f"/api/v1/{path}", params=query) as response:
            answer = await response.json()
        assert answer["status"] == "success", answer
        return answer["data"]

    async def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series that an expression results in now."""
        result = (await self.ask("query", query=expression))["result"]
        return [(item["metric"], float(item["value"][1])) for item in result]

    async def scraped(self, times: int) -> None:
        """Wait until all targets have answered so many scrapes, the last one too."""
        async with asyncio.timeout(SECONDS):
            while True:
                counts = await self.query("sum_over_time(up[1h]) and up == 1")
                if len(counts) == len(self._targets) and all(n >= times for _, n in counts):
                    return
                await asyncio.sleep(0.2)

    async def alerts(self) -> set[tuple[str, str, str]]:
        """Return each alert as name, state and labels: the instance, and others as `name=value`."""
        found = set()
        for alert in (await self.ask("alerts"))["alerts"]:
            labels = dict(alert["labels"])
            name = labels.pop("alertname")
            for same in ("severity", "job"):
                labels.pop(same, None)
            instance = [labels.pop("instance")] if "instance" in labels else []
            others = [f"{label}={value}" for label, value in sorted(labels.items()) if value]
            found.add((name, alert["state"], " ".join([*instance, *others])))
        return found

    async def variables(self) -> dict[str, str]:
        """Return the dashboard's variables as Grafana fills them in where all is chosen."""
        values = {"__rate_interval": "1m", "__range": "3h"}
        for variable in DASHBOARD["templating"]["list"]:
            if variable["type"] == "query":
                found = QUERY_LABELS.fullmatch(variable["query"]["query"])
                assert found, variable
                labels = await self.ask(
                    f"label/{found[2]}/values", match=substituted(found[1], values)
                )
                values[variable["name"]] = _any_of(labels)
        return values


def _any_of(values: Iterable[str]) -> str:
    """Return values as Grafana writes several in a query that matches by pattern."""
    return f"({'|'.join(map(re.escape, values))})"
