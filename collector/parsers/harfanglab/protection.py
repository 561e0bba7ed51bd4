"""Alerts of the agent's own protections: its antivirus and its firewall."""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.convert import long
from collector.parsers.harfanglab.values import shaped
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = (
    *under(
        equals("alert_subtype", "antivirus"),
        *shaped("event.category", "malware"),
        *shaped("event.type", "info"),
        Rule("file.path", "av_detection_details.path", profile="ecs"),
        Rule("file.size", "av_detection_details.file_size", long, profile="ecs"),
        *(
            Rule(f"file.hash.{digest}", f"av_detection_details.hashes.{digest}", profile="ecs")
            for digest in ("md5", "sha1", "sha256")
        ),
        *(
            Rule(f"harfanglab.av.detection.{name}", f"av_detection_details.{name}", profile="ecs")
            for name in ("signature_id", "signature_name", "kind", "file_type")
        ),
    ),
    *under(
        equals("alert_subtype", "firewall_self_protection"),
        *(
            Rule(
                f"harfanglab.firewall_self_protection.{name}",
                f"firewall_self_protection.{name}",
                profile="ecs",
            )
            for name in (
                "filter_description",
                "filter_id",
                "filter_name",
                "provider_description",
                "provider_name",
                "provider_service_name",
            )
        ),
    ),
)
