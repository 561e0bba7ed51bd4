"""What is in `deploy`: valid where it is used, and in step with the collector and with itself.

`tests/fixtures/schemas/compose-spec.json` is the schema of Compose files, as docker-compose 1.29.2
(Apache License 2.0) has it. Those of Kubernetes come with kubernetes-validate.
"""

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from collector.config import Config
from collector.listeners.sockets import DRAIN_SECONDS
from collector.settings.units import parse_duration, parse_size
from tests.deployment import (
    DEPLOY,
    DOCKERFILE,
    ENVIRONMENT,
    KUBERNETES,
    OLDEST,
    VARIABLE,
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
from tests.support import ROOT

COMPOSE = DEPLOY / "docker-compose.yml"
SETTINGS = ROOT / "config" / "collector.yaml"
SYSCTL = DEPLOY / "sysctl.d" / "90-collector.conf"

BASE = KUBERNETES / "base"
OPERATOR = KUBERNETES / "components" / "prometheus-operator"
OVERLAY = KUBERNETES / "overlays" / "example"


VENDOR = "cef-forwarder"
"""The service whose image and files are the vendor's."""

GRACE, SPOOL, LETTERS = (
    Config.model_fields[name].default for name in ("shutdown_grace", "spool", "dead_letters")
)
"""What holds where a file does not say otherwise."""

# Settings.


@pytest.mark.parametrize(
    "path",
    sorted(DEPLOY.rglob("*collector.yaml")),
    ids=lambda path: str(path.relative_to(DEPLOY)),
)
def test_settings_can_be_used(path, tmp_path, monkeypatch):
    """By who has the secrets and variables that they name."""
    check(path, ENVIRONMENT, tmp_path, monkeypatch)


def test_settings_can_be_used_with_the_variables_of_the_example(tmp_path, monkeypatch):
    """An overlay that merges others into those of the base."""
    (maker,) = read(OVERLAY / "kustomization.yaml")["configMapGenerator"]
    variables = dict(literal.split("=", 1) for literal in maker["literals"])
    check(BASE / "collector.yaml", variables, tmp_path, monkeypatch)


# The image.


def hadolint():
    """Return the program, which is installed beside Python or elsewhere; None if it is not."""
    beside = Path(sys.executable).with_name("hadolint")
    return str(beside) if beside.exists() else shutil.which("hadolint")


@pytest.mark.skipif(hadolint() is None, reason="needs hadolint")
def test_the_dockerfile_passes_the_linter():
    done = subprocess.run(
        [hadolint(), "--no-color", str(DOCKERFILE)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_image_exposes_the_ports_of_its_settings():
    (line,) = re.findall(r"^EXPOSE (.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    exposed = {(item.split("/")[1].upper(), int(item.split("/")[0])) for item in line.split()}
    assert ports_of(read_plain(SETTINGS)) <= exposed


# Docker Compose.


@cache
def services():
    return read_plain(COMPOSE)["services"]


OURS = [name for name in services() if name != VENDOR]


def mounts(service):
    """Yield source, target and options of each volume of a service."""
    for volume in services()[service]["volumes"]:
        source, target, *options = volume.split(":")
        yield source, target, options


def published(service):
    """Yield address, published and own port, and transport of each port of a service."""
    for port in services()[service]["ports"]:
        rest, _, transport = port.partition("/")
        *address, outside, inside = rest.split(":")
        yield ":".join(address), int(outside), int(inside), transport.upper()


def test_the_compose_file_is_one():
    assert compose_complaints(COMPOSE) == []


@pytest.mark.parametrize("service", OURS)
def test_a_service_is_confined(service):
    assert_confined(services()[service])


@pytest.mark.parametrize("service", services())
def test_the_log_of_a_service_is_bounded(service):
    assert services()[service]["logging"]["options"].keys() == {"max-size", "max-file"}


def test_what_is_ones_own_is_not_committed():
    """Variables and secrets, where the head of the file says that they go."""
    own = ["deploy/.env", "deploy/secrets/sink_token"]
    assert not_committed(own) == own
    head = COMPOSE.read_text().partition("\nx-")[0]
    assert all(f" {path}" in head for path in own)


def test_variables_that_are_said_to_be_ones_own_are_read():
    head, _, rest = COMPOSE.read_text().partition("\nx-")
    named = re.findall(r"^#   ([A-Z_]+)=", head, re.MULTILINE)
    assert len(named) == 3
    assert all(f"${{{name}:-" in rest for name in named)


@pytest.mark.parametrize("service", OURS)
def test_a_service_has_a_healthcheck(service):
    """Of its own, or that of its image, for which it may take more time to start."""
    check = services()[service]["healthcheck"]
    assert "test" in check or "HEALTHCHECK" in DOCKERFILE.read_text()
    assert not check.get("disable")


@pytest.mark.parametrize("service", OURS)
def test_what_a_service_mounts_exists(service):
    """Files of the repository, or volumes that are declared."""
    declared = read_plain(COMPOSE)["volumes"]
    for source, _, options in mounts(service):
        if source.startswith("."):
            assert (COMPOSE.parent / source).exists(), source
            assert options == ["ro"], source
        else:
            assert source in declared


def test_the_collector_runs_as_the_user_of_the_image():
    assert services()["collector"]["user"] == image_user()


def test_the_spool_outlives_the_container():
    targets = {target: source for source, target, _ in mounts("collector")}
    assert targets[SPOOL.path] == "collector"


def test_the_collector_may_take_its_grace_to_stop():
    assert parse_duration(services()["collector"]["stop_grace_period"]) > GRACE + DRAIN_SECONDS


def test_listeners_are_published_and_nothing_else_but_to_loopback():
    settings = read_plain(SETTINGS)
    found = {(transport, inside) for _, _, inside, transport in published("collector")}
    assert found == ports_of(settings)
    admin = settings["admin"]["port"]
    for service in OURS:
        for address, _, inside, _ in published(service):
            is_listener = service == "collector" and inside != admin
            assert address == ("" if is_listener else "127.0.0.1"), (service, inside)


def test_the_environment_is_what_the_settings_read():
    read_there = {name for name, _ in VARIABLE.findall(SETTINGS.read_text())}
    assert services()["collector"]["environment"].keys() == read_there - {"VAR"}


def test_prometheus_scrapes_the_collector():
    """By the name of its service, on a network that both are in."""
    scraped = read(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    (target,) = [
        target for job in scraped for item in job["static_configs"] for target in item["targets"]
    ]
    assert target == f"collector:{read_plain(SETTINGS)['admin']['port']}"
    networks = [set(services()[name]["networks"]) for name in ("collector", "prometheus")]
    assert set.intersection(*networks)


def test_grafana_finds_prometheus_and_the_dashboard():
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = read(provisioning / "datasources" / "prometheus.yml")["datasources"]
    (port,) = [inside for _, _, inside, _ in published("prometheus")]
    assert source["url"] == f"http://prometheus:{port}"
    (provider,) = read(provisioning / "dashboards" / "collector.yml")["providers"]
    targets = [target for _, target, _ in mounts("grafana")]
    dashboard = f"{provider['options']['path']}/collector.json"
    assert dashboard in targets
    home = "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"
    assert services()["grafana"]["environment"][home] == dashboard


# The kernel.


def test_sysctl_settings_let_a_listener_have_its_buffer():
    lines = [line for line in SYSCTL.read_text().splitlines() if line and line[0] != "#"]
    found = dict(line.split(" = ") for line in lines)
    assert all(re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name) for name in found)
    buffer = re.search(r"receive_buffer: (\w+)", SETTINGS.read_text())
    assert int(found["net.core.rmem_max"]) == parse_size(buffer[1])


# The sizing.


def sizing():
    """Return the tables of the guide, each a list of rows, each a list of cells."""
    text = (DEPLOY / "sizing.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[[*map(str.strip, row.split("|")[1:-1])] for row in t.splitlines()] for t in tables]


def octets_of_an_event():
    """Return the octets of an event of each vendor, with `gzip`, by rate."""
    _, _, *rows = sizing()[0]
    found = {_number(row[0]): (_number(row[1]), _number(row[4])) for row in rows}
    return found | {20_000: found[5000]}


def test_an_hour_of_outage_follows_from_what_was_measured():
    """The octets of an event times the rate: rounded by 5 % at most."""
    _, _, *hours = sizing()[1]
    assert len(hours) == 5
    for rate, *sizes in hours:
        for size, octets in zip(sizes, octets_of_an_event()[_number(rate)], strict=True):
            number, unit = size.split()
            exact = octets * _number(rate) * 3600
            assert exact == pytest.approx(float(number) * parse_size(f"1{unit}"), rel=0.05)


def test_the_time_until_the_spool_is_full_follows_from_what_was_measured():
    """With as much as it holds where settings say nothing: rounded by 10 % at most."""
    room = parse_size("10GiB")
    assert "the default of `spool.max_bytes`, 10 GiB" in (DEPLOY / "sizing.md").read_text()
    _, _, *times = sizing()[2]
    assert len(times) == 4
    for rate, *durations in times:
        for duration, octets in zip(durations, octets_of_an_event()[_number(rate)], strict=True):
            number, unit = duration.replace("1½", "1.5").split()
            seconds = float(number) * parse_duration(f"1{unit[0]}")
            assert room / octets / _number(rate) == pytest.approx(seconds, rel=0.1)


def test_the_share_of_a_processor_follows_from_the_time_of_an_event():
    """From the longer of the two times that are there."""
    _, _, each, *shares, _ = sizing()[3]
    longest = [float(cell.split()[2]) for cell in each[1:]]
    for what, *cells in shares:
        (rate,) = re.findall(r"at ([\d,]+) events/s", what)
        for cell, micros in zip(cells, longest, strict=True):
            assert micros * _number(rate) / 1e4 == pytest.approx(float(cell.split()[0]), rel=0.06)


def _number(text):
    return int(text.replace(",", "").split()[0])


# Kubernetes.


def manifests(*paths):
    """Return the objects in files, in their order."""
    return [
        found for path in paths for found in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]


def resources(directory):
    """Return the files of objects that a kustomization of this directory names."""
    listed = read(directory / "kustomization.yaml").get("resources", [])
    return [directory / name for name in listed if (directory / name).is_file()]


ALL = manifests(
    *resources(BASE), *resources(OPERATOR), *resources(OVERLAY), BASE / "secret.example.yaml"
)
BUILT_IN = [found for found in ALL if is_built_in(found)]


def one(kind, name="collector"):
    (found,) = [each for each in ALL if title(each) == f"{kind}-{name}"]
    return found


POD = one("StatefulSet")["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
SERVICES = [found for found in ALL if found["kind"] == "Service"]
CONFIG = read_plain(BASE / "collector.yaml")


def container_ports():
    return {port["name"]: (port["protocol"], port["containerPort"]) for port in CONTAINER["ports"]}


def mount_path(volume):
    (path,) = [each["mountPath"] for each in CONTAINER["volumeMounts"] if each["name"] == volume]
    return path


def is_selected(labels, by):
    return by.items() <= labels.items()


@pytest.mark.parametrize("manifest", BUILT_IN, ids=title)
def test_an_object_is_as_kubernetes_has_it(manifest):
    """Of the oldest version that the guide names, and of the newest."""
    assert [complaints(manifest, version) for version in (OLDEST, None)] == [[], []]


def test_the_guide_names_the_oldest_version():
    assert f"for Kubernetes {OLDEST} or\nnewer" in (KUBERNETES / "README.md").read_text()


@pytest.mark.parametrize("directory", [BASE, OVERLAY], ids=lambda path: path.name)
def test_a_kustomization_can_be_built(directory):
    """Into what is as Kubernetes has it; the names that Kustomize makes are referred to."""
    built = build(directory)
    core = filter(is_built_in, built)
    assert [complaint for each in core for complaint in complaints(each)] == []
    made = {each["metadata"]["name"] for each in built if each["kind"] == "ConfigMap"}
    (pod,) = [each["spec"]["template"]["spec"] for each in built if each["kind"] == "StatefulSet"]
    assert config_maps(pod) == made
    assert len(made) == 2


def test_the_example_changes_what_it_says():
    """Its patches find what they are for."""
    built = {title(each): each for each in build(OVERLAY)}
    wanted = read(OVERLAY / "kustomization.yaml")
    found = built["StatefulSet-collector"]["spec"]
    assert found["replicas"] == wanted["replicas"][0]["count"]
    (image,) = wanted["images"]
    assert found["template"]["spec"]["containers"][0]["image"] == "{newName}:{newTag}".format(
        **image
    )
    assert found["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    for name in ("collector-udp", "collector-tcp"):
        assert built[f"Service-{name}"]["spec"]["loadBalancerSourceRanges"] == ["10.0.0.0/8"]
    assert {each["metadata"].get("namespace") for each in built.values()} == {None, "collector"}


def test_a_label_for_the_operator_is_added_as_the_guide_says(tmp_path):
    """To what it reads, and to nothing else."""
    guide = (KUBERNETES / "README.md").read_text()
    (patches,) = re.findall(r"^```yaml\n(patches:.*?)^```", guide, re.MULTILINE | re.DOTALL)
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes" / "overlays" / "labelled"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(f"resources: [../example]\n{patches}")
    labelled = {
        each["kind"] for each in build(overlay) if "release" in each["metadata"].get("labels", {})
    }
    assert labelled == {"ServiceMonitor", "PrometheusRule"}


@pytest.mark.parametrize(
    "directory", [BASE, OPERATOR, OVERLAY], ids=lambda path: str(path.relative_to(KUBERNETES))
)
def test_what_a_kustomization_names_exists(directory):
    named = named_files(directory)
    assert [name for name in named if not (directory / name).exists()] == []
    files = {path.name for path in directory.iterdir() if path.is_file()}
    assert files - {*named, "kustomization.yaml", "secret.example.yaml"} == set()


def config_maps(pod):
    """Return the names of config maps that a pod refers to."""
    (container,) = pod["containers"]
    variables = {each["configMapRef"]["name"] for each in container["envFrom"]}
    return variables | {each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each}


def test_what_a_pod_refers_to_exists():
    pod = POD["spec"]
    makers = read(BASE / "kustomization.yaml")["configMapGenerator"]
    assert config_maps(pod) == {maker["name"] for maker in makers}
    secrets = {each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each}
    assert secrets == {one("Secret", "collector-secrets")["metadata"]["name"]}
    claims = {
        each["metadata"]["name"] for each in one("StatefulSet")["spec"]["volumeClaimTemplates"]
    }
    volumes = {each["name"] for each in pod["volumes"]} | claims
    assert {each["name"] for each in CONTAINER["volumeMounts"]} == volumes
    headless = one("Service", one("StatefulSet")["spec"]["serviceName"])
    assert headless["spec"]["clusterIP"] == "None"


def test_selectors_select_the_pods():
    labels = POD["metadata"]["labels"]
    selectors = [
        one(kind)["spec"]["selector"]["matchLabels"]
        for kind in ("StatefulSet", "PodDisruptionBudget")
    ]
    selectors += [service["spec"]["selector"] for service in SERVICES]
    selectors.append(one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"])
    spread = POD["spec"]["topologySpreadConstraints"]
    selectors += [each["labelSelector"]["matchLabels"] for each in spread]
    assert all(is_selected(labels, by) for by in selectors)


def test_the_ports_of_a_pod_are_those_of_its_settings():
    assert {*container_ports().values()} == ports_of(CONFIG)


def test_every_port_has_a_service_and_may_be_reached():
    """Under the same number, transport and name."""
    offered = {
        port["targetPort"]: (port["protocol"], port["port"])
        for service in SERVICES
        for port in service["spec"]["ports"]
    }
    assert offered == container_ports()
    allowed = {
        port["port"]: port["protocol"]
        for rule in one("NetworkPolicy")["spec"]["ingress"]
        for port in rule["ports"]
    }
    assert allowed == {name: protocol for name, (protocol, _) in container_ports().items()}


@pytest.mark.parametrize("name", ["collector-udp", "collector-tcp"])
def test_senders_keep_their_addresses(name):
    service = one("Service", name)["spec"]
    assert service["externalTrafficPolicy"] == "Local"
    assert len({port["protocol"] for port in service["ports"]}) == 1


@pytest.mark.parametrize(
    ("probe", "path"),
    [("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")],
)
def test_a_probe_asks_the_admin_server(probe, path):
    assert CONTAINER[probe]["httpGet"] == {"path": path, "port": "admin"}
    assert CONTAINER[probe]["timeoutSeconds"] > 1
    assert container_ports()["admin"][1] == CONFIG["admin"]["port"]


def test_a_pod_has_as_long_to_start_as_a_service_of_systemd():
    unit = (DEPLOY / "systemd" / "collector.service").read_text()
    (minutes,) = re.findall(r"^TimeoutStartSec=(\d+)min$", unit, re.MULTILINE)
    probe = CONTAINER["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == int(minutes) * 60


def test_a_pod_may_take_its_grace_to_stop():
    *_, pause = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    seconds = POD["spec"]["terminationGracePeriodSeconds"]
    assert seconds > int(pause) + GRACE + DRAIN_SECONDS


def test_a_pod_is_confined():
    """As the Pod Security Standard `restricted` asks for, with a read-only root file system."""
    pod, container = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert f"{pod['runAsUser']}:{pod['runAsGroup']}" == image_user()
    assert pod["fsGroup"] == pod["runAsGroup"]
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["spec"]["automountServiceAccountToken"] is False


def test_the_spool_fits_its_volume():
    """With the dead letters, and a tenth for the file system."""
    (claim,) = one("StatefulSet")["spec"]["volumeClaimTemplates"]
    assert mount_path(claim["metadata"]["name"]) == SPOOL.path
    room = parse_size(claim["spec"]["resources"]["requests"]["storage"] + "B")
    wanted = parse_size(CONFIG["spool"]["max_bytes"]) + parse_size(
        CONFIG["dead_letters"]["max_bytes"]
    )
    assert wanted + 2 * LETTERS.unknown_intake_max_bytes <= 0.9 * room


def test_the_secret_holds_what_the_settings_read():
    directory = mount_path("secrets")
    text = (BASE / "collector.yaml").read_text()
    read_there = re.findall(rf"{directory}/(\w+)", text)
    example = one("Secret", "collector-secrets")["stringData"]
    assert sorted(read_there) == sorted(example)
    assert all(value.startswith("EXAMPLE-") for value in example.values())
    guide = (KUBERNETES / "README.md").read_text()
    assert all(f"--from-file={name}" in guide for name in example)


def test_the_settings_have_their_variables():
    found = {name for name, _ in VARIABLE.findall((BASE / "collector.yaml").read_text())}
    makers = {
        each["name"]: each for each in read(BASE / "kustomization.yaml")["configMapGenerator"]
    }
    literals = makers["collector-environment"]["literals"]
    assert {literal.partition("=")[0] for literal in literals} == found


# The Prometheus Operator.


def test_the_service_monitor_finds_every_pod_once():
    """By the Service without an address, at its port, as the job that the rules know."""
    monitor = one("ServiceMonitor")["spec"]
    by = monitor["selector"]["matchLabels"]
    (service,) = [each for each in SERVICES if is_selected(each["metadata"]["labels"], by)]
    assert service["spec"]["clusterIP"] == "None"
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "collector"
    scraped = read(DEPLOY / "prometheus" / "prometheus.yml")
    assert endpoint["interval"] == scraped["global"]["scrape_interval"]


def test_the_rules_are_those_of_prometheus():
    """What `spec` holds is the file, indented, with its comments."""
    path = OPERATOR / "prometheusrule.yaml"
    rules = (DEPLOY / "prometheus" / "collector.rules.yml").read_text()
    indented = "".join(f"  {line}" if line.strip() else line for line in rules.splitlines(True))
    head, _, rest = path.read_text().partition("\nspec:\n")
    assert rest == indented, "write it anew; the command is at its head"
    assert "sed -i" in head
