"""The cluster in `deploy`: its files fit each other and the collector.

`tests/integration/test_cluster_deployed.py` runs them.
"""

import json
import os
import re
import shutil
import subprocess
from functools import cache

import pytest
import yaml

from collector.config import Config, parse
from collector.listeners.sockets import DRAIN_SECONDS
from collector.roles import VARIABLE, Role
from collector.settings.units import parse_duration, parse_size
from collector.stream import wire
from collector.stream.topology import batch_stream, letter_stream
from tests.deployment import (
    DEPLOY,
    ENVIRONMENT,
    KUBERNETES,
    OLDEST,
    assert_confined,
    build,
    check,
    complaints,
    compose_complaints,
    image_user,
    is_built_in,
    named_files,
    not_committed,
    ports_of,
    read,
    read_plain,
    title,
)
from tests.peers import require
from tests.support import ROOT

CLUSTER = DEPLOY / "cluster"
COMPOSE = CLUSTER / "docker-compose.yml"
SETTINGS = CLUSTER / "collector.yaml"
NATS_CONF = (CLUSTER / "nats-server.conf").read_text()
OVERLAY = KUBERNETES / "overlays" / "cluster"
OVERLAY_SETTINGS = OVERLAY / "settings" / "collector.yaml"
NATS = KUBERNETES / "nats"
KEDA = (KUBERNETES / "components" / "keda-prometheus", KUBERNETES / "components" / "keda-nats")

ROLES = {"receiver": Role.RECEIVE, "deliverer": Role.DELIVER}
GRACE = Config.model_fields["shutdown_grace"].default


def spool_of(path):
    """Return the settings of a file's spool, without secrets, and of its dead letters."""
    settings = read(path)
    for name in ("user", "password_file", "tls"):
        del settings["spool"][name]
    for intake in settings["intakes"]:
        intake.pop("key_file", None)
    del settings["admin"]
    text = yaml.safe_dump(settings)
    config = parse(text, source=str(path), environ=ENVIRONMENT, role=Role.RECEIVE)
    return config.spool, config.dead_letters


# Settings.


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("path", [SETTINGS, OVERLAY_SETTINGS], ids=["compose", "kubernetes"])
def test_each_role_can_use_the_settings(path, role, tmp_path, monkeypatch):
    check(path, ENVIRONMENT, tmp_path, monkeypatch, "--role", str(role))


@pytest.mark.parametrize("path", [SETTINGS, OVERLAY_SETTINGS], ids=["compose", "kubernetes"])
def test_a_receiver_needs_nothing_of_a_sink(path, tmp_path, monkeypatch):
    """Neither its address nor its secrets."""
    monkeypatch.delenv("SINK_URL", raising=False)
    variables = {name: value for name, value in ENVIRONMENT.items() if name != "SINK_URL"}
    text = path.read_text().replace("/run/secrets/collector/sink_token", "/nowhere/sink_token")
    changed = tmp_path / "settings" / "changed.yaml"
    changed.parent.mkdir()
    changed.write_text(text)
    check(changed, variables, tmp_path, monkeypatch, "--role", "receive")


# Docker Compose.


@cache
def composed():
    return read_plain(COMPOSE)


def services(*names):
    """Return services by name, all whose names begin with one of these."""
    found = composed()["services"]
    return {name: found[name] for name in found if name.startswith(names or ("",))}


def mounts(service):
    """Return source and options of each volume of a service, by target."""
    parts = (volume.split(":") for volume in service["volumes"])
    return {target: (source, options) for source, target, *options in parts}


def test_the_compose_file_is_one():
    assert compose_complaints(COMPOSE) == []


@pytest.mark.parametrize("name", services())
def test_a_service_is_confined_and_watched(name):
    service = services()[name]
    assert_confined(service)
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert "test" in service["healthcheck"] or service["image"] == "collector"


@pytest.mark.parametrize("name", services())
def test_what_a_service_mounts_exists(name):
    """Files of the repository, secrets that the script makes, or a volume of its own."""
    for source, options in mounts(services()[name]).values():
        if source.startswith("."):
            assert options == ["ro"], source
            if not source.startswith("./secrets/"):
                assert (CLUSTER / source).exists(), source
        else:
            assert source == name
            assert source in composed()["volumes"]


def test_there_are_as_many_of_each_as_the_guide_says():
    assert [len(services(kind)) for kind in ("nats-", "receiver-", "deliverer-")] == [3, 2, 2]


@pytest.mark.parametrize("kind", ROLES)
def test_a_member_has_its_role_and_the_secrets_of_that(kind):
    for service in services(kind).values():
        assert service["environment"][VARIABLE] == ROLES[kind]
        assert service["environment"]["NATS_USER"] == kind
        assert ("SINK_URL" in service["environment"]) == ROLES[kind].delivers
        assert service["user"] == image_user()
        assert mounts(service)["/run/secrets"][0] == f"./secrets/{kind}"
        assert "/var/lib/collector" in mounts(service)
        assert parse_duration(service["stop_grace_period"]) > GRACE + DRAIN_SECONDS


def test_who_shares_a_network_has_something_to_say():
    """The servers' routes are theirs, and a receiver reaches no sink."""
    by_network = {
        network: {name for name, each in services().items() if network in each["networks"]}
        for network in composed()["networks"]
    }
    nats, receivers, deliverers = (
        {*services(kind)} for kind in ("nats-", "receiver-", "deliverer-")
    )
    members = receivers | deliverers
    assert by_network == {
        "routes": nats,
        "stream": nats | members,
        "senders": receivers | {"haproxy"},
        "sinks": deliverers,
        "monitoring": members | {"haproxy", "prometheus"},
    }


def test_nothing_but_listeners_is_published_to_the_world():
    found = {name: each["ports"] for name, each in services().items() if "ports" in each}
    assert found.pop("prometheus") == ["127.0.0.1:9090:9090/tcp"]
    balanced = {int(port.split(":")[0]) for port in found.pop("haproxy")}
    ports = ports_of(read_plain(SETTINGS)) - {("TCP", 9514)}
    assert balanced == {port for transport, port in ports if transport == "TCP"}
    udp = {port for transport, port in ports if transport == "UDP"}
    inside = {name: {int(port[:-4].split(":")[1]) for port in found[name]} for name in found}
    assert inside == dict.fromkeys(services("receiver-"), udp)


def test_what_is_ones_own_is_not_committed():
    own = [f"deploy/cluster/{path}" for path in (".env", "secrets/nats/server.key")]
    assert not_committed(own) == own


# HAProxy and keepalived.


def test_haproxy_balances_each_listener_of_tcp_over_the_receivers():
    text = (CLUSTER / "haproxy.cfg").read_text()
    settings = read_plain(SETTINGS)
    wanted = {
        each["name"]: each["port"] for each in settings["listeners"] if "proxy_protocol" in each
    }
    front = re.compile(r"^frontend ([\w-]+)\n  bind :(\d+)\n  default_backend \1$", re.MULTILINE)
    assert {name: int(port) for name, port in front.findall(text)} == wanted
    for name, port in wanted.items():
        (servers,) = re.findall(rf"^backend {name}\n((?:  server .+\n)+)", text, re.MULTILINE)
        assert servers.splitlines() == [
            f"  server {receiver} {receiver}:{port}" for receiver in services("receiver-")
        ]
    assert f"check port {settings['admin']['port']} " in text
    assert {each["transport"] for each in settings["listeners"]} - {"tcp", "relp"} == {"udp"}


def test_the_address_of_haproxy_is_the_one_that_is_believed():
    """And may send to nobody itself: it is no sender."""
    (service,) = services("haproxy").values()
    address = service["networks"]["senders"]["ipv4_address"]
    for listener in read_plain(SETTINGS)["listeners"]:
        if listener["transport"] != "udp":
            assert listener["proxy_protocol"] == [address]


def test_keepalived_balances_udp_to_where_receivers_listen():
    text = (CLUSTER / "keepalived.conf").read_text()
    settings = read_plain(SETTINGS)
    (udp,) = [each["port"] for each in settings["listeners"] if each["transport"] == "udp"]
    ports = re.findall(r"^(?:virtual_server|  real_server) \S+ (\d+)", text, re.MULTILINE)
    assert ports == [str(udp)] * 3
    assert set(re.findall(r"connect_port (\d+)", text)) == {str(settings["admin"]["port"])}
    assert "127.0.0.1:8405/healthz" in text
    assert "bind :8405" in (CLUSTER / "haproxy.cfg").read_text()


# Prometheus.


def test_prometheus_scrapes_every_member_by_its_role():
    require("promtool")
    jobs = {job["job_name"]: job for job in read(CLUSTER / "prometheus.yml")["scrape_configs"]}
    targets = {
        group["labels"]["role"]: group["targets"] for group in jobs["collector"]["static_configs"]
    }
    port = read_plain(SETTINGS)["admin"]["port"]
    assert targets == {
        str(role): [f"{name}:{port}" for name in services(kind)] for kind, role in ROLES.items()
    }
    rules = mounts(services("prometheus")["prometheus"])["/etc/prometheus/rules"][0]
    assert (CLUSTER / rules / "collector.rules.yml").exists()


def test_prometheus_can_use_its_configuration(tmp_path):
    text = (CLUSTER / "prometheus.yml").read_text()
    file = tmp_path / "prometheus.yml"
    file.write_text(text.replace("/etc/prometheus/rules", str(DEPLOY / "prometheus")))
    done = subprocess.run(
        [require("promtool"), "check", "config", "--lint=none", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# NATS.


def test_the_servers_are_those_that_members_look_for():
    names = list(services("nats-"))
    assert re.findall(r'"nats-route://([\w-]+):6222"', NATS_CONF) == names
    assert [*spool_of(SETTINGS)[0].servers] == [f"tls://{name}:4222" for name in names]
    assert [each["environment"]["SERVER_NAME"] for each in services("nats-").values()] == names
    (default,) = re.findall(r"SERVERS:-([\w -]+)\}", (CLUSTER / "secrets.sh").read_text())
    assert default.split() == names


def users():
    """Return what each user of the servers may publish and subscribe to."""
    found = re.findall(
        r"user: (\w+)\n +password: \$(\w+)\n +permissions \{\n(.*?)\n      \}", NATS_CONF, re.DOTALL
    )
    return {
        user: (variable, *(_subjects(text, verb) for verb in ("publish", "subscribe")))
        for user, variable, text in found
    }


def _subjects(text, verb):
    (inner,) = re.findall(rf"{verb}: \[(.*?)\]", text, re.DOTALL)
    return re.findall(r'"([^"]+)"', inner)


def test_members_may_use_the_streams_of_the_settings_and_no_others():
    spool, _ = spool_of(SETTINGS)
    ours = {spool.stream, spool.stream + wire.LETTERS_SUFFIX}
    for user in ROLES:
        for subject in users()[user][1]:
            tokens = subject.split(".")
            assert ours & {*tokens}, subject
            assert not (tokens[0] == "$JS" and tokens[-1] == ">" and len(tokens) < 4), subject
        assert users()[user][2] == [f"_INBOX.{user}.>"]
    assert {*users()["receiver"][1]} < {*users()["deliverer"][1]}


@pytest.mark.parametrize("path", [SETTINGS, OVERLAY_SETTINGS], ids=["compose", "kubernetes"])
def test_the_streams_fit_what_servers_may_reserve(path):
    spool, letters = spool_of(path)
    reserved = sum(
        stream["max_bytes"]
        for stream in (batch_stream(spool), letter_stream(spool, letters.max_bytes))
    )
    if path == SETTINGS:
        (room,) = re.findall(r"max_file_store: (\d+)GB", NATS_CONF)
        assert reserved <= int(room) << 30
    else:
        store = values()["config"]["jetstream"]["fileStore"]
        assert reserved <= parse_size(store["maxSize"] + "B")
        assert parse_size(store["maxSize"] + "B") <= 0.8 * parse_size(store["pvc"]["size"] + "B")
    assert spool.replicas == 3


def test_the_script_makes_what_is_read_and_keeps_it(tmp_path):
    """Only by whom it is for."""
    environment = {**os.environ, "OWNER": str(os.getuid())}
    environment.pop("SERVERS", None)
    made = []
    for _ in range(2):
        script = [CLUSTER / "secrets.sh", tmp_path / "secrets"]
        subprocess.run(script, env=environment, check=True)
        files = [path for path in (tmp_path / "secrets").rglob("*") if path.is_file()]
        made.append({path.relative_to(tmp_path / "secrets"): path.read_text() for path in files})
        assert [oct(path.stat().st_mode & 0o777) for path in files] == ["0o600"] * len(files)
    assert made[0] == made[1]
    found = {str(path) for path in made[0]}
    read_there = {
        f"{kind}/{name}"
        for kind in ROLES
        for name in re.findall(r"/run/secrets/(\w+(?:\.pem)?)", SETTINGS.read_text())
    }
    in_conf = {f"nats/{name}" for name in re.findall(r"secrets/([\w.]+)", NATS_CONF) if "." in name}
    assert read_there | in_conf <= found
    passwords = made[0].values()
    variables = re.findall(r"password: \$(\w+)", NATS_CONF)
    assert len(variables) == 3
    assert all(any(f'{name}: "' in text for text in passwords) for name in variables)


# Kubernetes.


@cache
def values():
    return read(NATS / "values.yaml")


def test_the_users_of_kubernetes_are_those_of_the_compose_file():
    authorization = values()["config"]["merge"]["authorization"]
    found = {
        each["user"]: (
            each["password"].strip("<> $"),
            each["permissions"]["publish"],
            each["permissions"]["subscribe"],
        )
        for each in authorization["users"]
    }
    assert found == users()
    assert {variable for variable, *_ in found.values()} < values()["container"]["env"].keys()


def test_the_servers_understand_what_the_chart_is_told_to_merge(tmp_path):
    """It writes JSON, in which `<< >>` and its quotes are taken away."""
    merged = json.dumps(values()["config"]["merge"])
    text = re.sub(r'"<< (.+?) >>"', r"\1", merged)
    file = tmp_path / "nats-server.conf"
    file.write_text(text)
    done = subprocess.run(
        [require("nats-server"), "-t", "-c", str(file)],
        env={**os.environ, **{variable: "12ab" for variable, *_ in users().values()}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def by_title(directory=OVERLAY):
    return {title(each): each for each in build(directory)}


@pytest.mark.parametrize("directory", [OVERLAY, NATS], ids=lambda path: path.name)
def test_a_kustomization_is_as_kubernetes_has_it(directory):
    for manifest in filter(is_built_in, build(directory)):
        assert complaints(manifest, OLDEST) + complaints(manifest) == [], title(manifest)


@pytest.mark.parametrize(
    "directory",
    [OVERLAY, OVERLAY / "settings", OVERLAY / "receivers", OVERLAY / "deliverers", NATS, *KEDA],
    ids=lambda path: path.name,
)
def test_what_a_kustomization_names_exists(directory):
    named = named_files(directory)
    assert [name for name in named if not (directory / name).exists()] == []
    files = {path.name for path in directory.iterdir() if path.is_file()}
    assert files - {*named, "kustomization.yaml", "values.yaml"} == set()


def pod_of(kind):
    return by_title()[f"StatefulSet-collector-{kind}"]["spec"]["template"]


@pytest.mark.parametrize("kind", ROLES)
def test_a_pod_has_its_role_and_the_secrets_of_that(kind):
    pod = pod_of(kind)
    (container,) = pod["spec"]["containers"]
    volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
    assert {each["name"] for each in container["volumeMounts"]} == {*volumes, "spool"}
    own = {item["key"] for item in volumes["secrets"]["secret"]["items"]}
    assert ("sink_token" in own) == ROLES[kind].delivers
    assert [item["key"] for item in volumes["nats"]["secret"]["items"]] == [kind, "ca.pem"]
    (environment,) = container["envFrom"]
    variables = by_title()[f"ConfigMap-{environment['configMapRef']['name']}"]["data"]
    assert (variables[VARIABLE], variables["NATS_USER"]) == (ROLES[kind], kind)
    settings = by_title()[f"ConfigMap-{volumes['config']['configMap']['name']}"]["data"]
    assert settings == {"collector.yaml": OVERLAY_SETTINGS.read_text()}


@pytest.mark.parametrize("kind", ROLES)
def test_the_files_that_settings_name_are_mounted(kind):
    """But for those that the role does not look at."""
    pod = pod_of(kind)["spec"]
    places = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    mounted = {
        f"{places[each['name']]}/{item['path']}"
        for each in pod["volumes"]
        if "secret" in each
        for item in each["secret"]["items"]
    }
    named = {*re.findall(r"/run/secrets/[\w./]+", OVERLAY_SETTINGS.read_text())}
    assert named - mounted == (
        set() if ROLES[kind].delivers else {"/run/secrets/collector/sink_token"}
    )


@pytest.mark.parametrize("kind", ROLES)
def test_selectors_select_the_pods_of_a_role_alone(kind):
    found = by_title()
    labels = {name: pod_of(name)["metadata"]["labels"] for name in ROLES}
    policy = found[f"NetworkPolicy-collector-{kind}"]["spec"]["podSelector"]["matchLabels"]
    selectors = [policy] + [
        found[f"{what}-collector-{kind}"]["spec"]["selector"]["matchLabels"]
        for what in ("StatefulSet", "PodDisruptionBudget")
    ]
    selectors += [
        each["spec"]["selector"]
        for name, each in found.items()
        if name.startswith("Service-") and name.endswith(kind)
    ]
    spread = pod_of(kind)["spec"]["topologySpreadConstraints"]
    selectors += [each["labelSelector"]["matchLabels"] for each in spread]
    for by in selectors:
        assert [name for name in ROLES if by.items() <= labels[name].items()] == [kind]


def test_only_receivers_are_sent_to():
    names = {name for name in by_title() if name.startswith("Service-")}
    assert names == {
        "Service-collector-receiver",
        "Service-collector-udp-receiver",
        "Service-collector-tcp-receiver",
        "Service-collector-deliverer",
    }
    settings = ports_of(read_plain(OVERLAY_SETTINGS))
    admin = {("TCP", read_plain(OVERLAY_SETTINGS)["admin"]["port"])}
    for kind, wanted in {"receiver": settings, "deliverer": admin}.items():
        (container,) = pod_of(kind)["spec"]["containers"]
        assert {(each["protocol"], each["containerPort"]) for each in container["ports"]} == wanted
        rules = by_title()[f"NetworkPolicy-collector-{kind}"]["spec"]["ingress"]
        allowed = {port["port"] for rule in rules for port in rule["ports"]}
        assert allowed == {each["name"] for each in container["ports"]}


@pytest.mark.parametrize("kind", ROLES)
def test_members_reach_nats_and_only_deliverers_reach_sinks(kind):
    (namespace,) = [each for each in build(NATS) if each["kind"] == "Namespace"]
    rules = by_title()[f"NetworkPolicy-collector-{kind}"]["spec"]["egress"]
    to_nats = {
        "namespaceSelector": {
            "matchExpressions": [
                {
                    "key": "kubernetes.io/metadata.name",
                    "operator": "In",
                    "values": [namespace["metadata"]["name"]],
                }
            ]
        }
    }
    assert {"to": [to_nats], "ports": [{"protocol": "TCP", "port": 4222}]} in rules
    to_all = {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]}
    assert (443 in to_all) == ROLES[kind].delivers


def test_nats_lets_in_members_and_nobody_else_to_its_clients_port():
    (policy,) = [each for each in build(NATS) if each["kind"] == "NetworkPolicy"]
    (rule,) = [r for r in policy["spec"]["ingress"] if r["ports"][0]["port"] == 4222]
    members, people = rule["from"]
    assert members["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": by_title()["Namespace-collector"]["metadata"]["name"]
    }
    for kind in ROLES:
        labels = pod_of(kind)["metadata"]["labels"]
        assert members["podSelector"]["matchLabels"].items() <= labels.items()
    assert people["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "nats-box"
    servers = values()["podTemplate"]["merge"]["spec"]["affinity"]["podAntiAffinity"]
    (apart,) = servers["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["labelSelector"] == policy["spec"]["podSelector"]


def test_the_local_file_fits_its_volume():
    """With dead letters of strangers and the rest, and a tenth for the file system."""
    spool, letters = spool_of(OVERLAY_SETTINGS)
    wanted = spool.local_max_bytes + letters.max_bytes + 2 * letters.unknown_intake_max_bytes
    for kind in ROLES:
        (claim,) = by_title()[f"StatefulSet-collector-{kind}"]["spec"]["volumeClaimTemplates"]
        room = parse_size(claim["spec"]["resources"]["requests"]["storage"] + "B")
        assert wanted <= 0.9 * room


def scaled(component):
    return read(component / "scaledobject.yaml")["spec"]


@pytest.mark.parametrize("component", KEDA, ids=lambda path: path.name)
def test_keda_scales_the_deliverers(component, tmp_path):
    """Whose number the overlay then does not say."""
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes" / "overlays" / "cluster"
    chosen = (overlay / "kustomization.yaml").read_text()
    (overlay / "kustomization.yaml").write_text(chosen.replace(KEDA[0].name, component.name))
    built = by_title(overlay)
    target = built["ScaledObject-collector-deliverer"]["spec"]["scaleTargetRef"]
    scaled_one = built[f"{target['kind']}-{target['name']}"]
    assert scaled_one["apiVersion"] == target["apiVersion"]
    assert "replicas" not in scaled_one["spec"]
    assert built["StatefulSet-collector-receiver"]["spec"]["replicas"] == 2


def test_keda_goes_by_a_consumer_and_a_sink_of_the_settings():
    sinks = [sink["name"] for sink in read_plain(OVERLAY_SETTINGS)["sinks"]]
    (by_metric,), (by_lag,) = (scaled(component)["triggers"] for component in KEDA)
    assert {*re.findall(r'sink="([\w.-]+)"', by_metric["metadata"]["query"])} == {*sinks}
    spool, _ = spool_of(OVERLAY_SETTINGS)
    assert by_lag["metadata"]["stream"] == spool.stream
    assert [by_lag["metadata"]["consumer"]] == [wire.token(sink) for sink in sinks]


def test_the_settings_of_both_places_differ_in_places_alone():
    """What is decided of the stream is the same, but for how much it holds."""
    one, other = (batch_stream(spool_of(path)[0]) for path in (SETTINGS, OVERLAY_SETTINGS))
    assert one | {"max_bytes": 0} == other | {"max_bytes": 0}


# Metrics.

NAMED = re.compile(r"\bcollector_[a-z]+_[a-z_]+\b(?!\*)")

SAYING = [
    CLUSTER / "README.md",
    CLUSTER / "prometheus.yml",
    KUBERNETES / "README.md",
    *(component / "scaledobject.yaml" for component in KEDA),
]


@pytest.mark.parametrize("path", SAYING, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_metrics_that_are_named_are_exported(path):
    """Those of a stream only with one: so they are looked for in what exports them."""
    source = (ROOT / "collector" / "exposition.py").read_text()
    named = {*NAMED.findall(path.read_text())} - {"collector_stream_"}
    wanted = {name.removeprefix("collector_").removesuffix("_total") for name in named}
    assert {name for name in wanted if f'"{name}"' not in source} == set()
