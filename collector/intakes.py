"""Intakes as settings ask for them: what reads their messages, and where the events go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collector.board import Post, admitted, granted
from collector.events import filters
from collector.events.constant_fields import adder
from collector.events.envelope import finisher, header_reader
from collector.events.translation import translator
from collector.masking import Masker
from collector.parsers import PARSERS, build
from collector.pipeline import Intake, Outlet
from collector.ratelimit import SharedLimit, TokenBucket
from collector.routing import KeySlot, Router
from collector.settings.problems import ConfigError, Problem
from collector.syslog.message import KeyName

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from collector.config import Config, IntakeSettings
    from collector.deliveries import Deliveries
    from collector.drift import DriftWatch
    from collector.events.envelope import Finish
    from collector.events.translation import Translator
    from collector.metrics import Stats
    from collector.parsers import Parser
    from collector.ratelimit import Limit

Keys = dict[str, tuple[str, ...]]
"""The keys of each intake, in the order of its settings, in plain text."""


def read_keys(config: Config) -> Keys:
    """Return the keys of all intakes, files read again.

    Raises:
        SecretFileError: a file holds no usable key now.
        ConfigError: a file holds the key of another intake now.
    """
    keys = {intake.name: intake.read_keys() for intake in config.intakes}
    owners: dict[str, str] = {}
    for name, of_intake in keys.items():
        for key in of_intake:
            owner = owners.setdefault(key, name)
            if owner != name:
                what = f"the same key as that of intakes[{owner}]; accepted: a key used once"
                raise ConfigError("files", [Problem(f"intakes[{name}].key_file", what)])
    return keys


def masker_of(config: Config, keys: Keys) -> Masker:
    """Return what replaces the keys of all intakes in what people are shown."""
    name = KeyName(config.routing.structured_data_id, config.routing.parameter)
    return Masker(name, [key for of_intake in keys.values() for key in of_intake])


@dataclass(frozen=True, slots=True)
class IntakeMaker:
    """Makes the intakes of a daemon.

    Attributes:
        config: the settings.
        deliveries: lead to the sinks.
        stats: counters of the process.
        watches: what looks for what is new, by intake.
        key_name: where in the structured data a key stands.
        post: the place of the process among the workers, who keep rates together.
        uses_kernel: whether messages of known shapes are read by the compiled kernel.
    """

    config: Config
    deliveries: Deliveries
    stats: Stats
    watches: Mapping[str, DriftWatch]
    key_name: KeyName
    post: Post = field(default_factory=Post.alone)
    uses_kernel: bool = True

    def router(self, keys: Keys) -> Router:
        """Return what finds the intakes of messages, by their keys and without."""
        config = self.config
        secrets = [key for of_intake in keys.values() for key in of_intake]
        intakes = {item.name: self._intake(item, secrets) for item in config.intakes}
        return Router(
            intakes.values(),
            keys={
                key: KeySlot(intakes[name], slot)
                for name, of_intake in keys.items()
                for slot, key in enumerate(of_intake)
            },
            bound={
                listener.name: intakes[listener.intake]
                for listener in config.listeners
                if listener.intake is not None
            },
            sources=[
                (network, intakes[item.name]) for item in config.intakes for network in item.sources
            ],
        )

    def _intake(self, settings: IntakeSettings, keys: Collection[str]) -> Intake:
        """Make an intake; `keys` are those of all intakes, which none of them shows."""
        sinks = self.config.sinks_of(settings)
        outlets = tuple(self._outlet(sink.name, settings) for sink in sinks)
        rate = settings.max_rate
        parse = build(settings.parser, settings.profile)
        finish = finisher(
            settings.envelope,
            key_name=self.key_name,
            keys=keys,
            timestamp_fallback=settings.timestamp_fallback,
            add_fields=adder(settings.fields),
        )
        return Intake(
            settings.name,
            parse,
            outlets,
            self.stats.intakes[settings.name],
            self.watches[settings.name],
            finish=finish,
            translator=self._translator(settings, parse, finish, keys),
            select=filters.selector(settings.drop, zip(sinks, outlets, strict=True)),
            limit=None if rate is None else self._limit(settings.name, rate.events_per_second),
            keep_excess=rate is not None and rate.when_over == "dead_letter",
            keep_unparsed=settings.on_parse_error == "dead_letter",
        )

    def _translator(
        self, settings: IntakeSettings, parse: Parser, finish: Finish, keys: Collection[str]
    ) -> Translator | None:
        if not self.uses_kernel:
            return None
        with_header = "syslog" in settings.envelope
        return translator(
            PARSERS[settings.parser],
            settings.profile,
            parse,
            finish,
            header_reader(self.key_name, keys) if with_header else None,
        )

    def _limit(self, intake: str, rate: float) -> Limit:
        if self.post.count == 1:
            return TokenBucket(rate)
        column = self.post.board.column
        return SharedLimit(column(admitted(intake)), column(granted(intake)))

    def _outlet(self, sink: str, settings: IntakeSettings) -> Outlet:
        document_of = self.deliveries.form(sink).document_of(settings)
        return Outlet(settings.name, self.deliveries.batcher(sink, settings.name), document_of)
