"""The Helm chart in `deploy`: it makes what Kustomize makes, of settings that can be used.

What holds of the objects of Kustomize, as `test_deployment.py` and `test_cluster.py` have it, then
holds of those of the chart, too.
"""

import re
import shlex
import subprocess
from functools import cache

import pytest
import yaml

from collector import __version__
from collector.roles import VARIABLE, Role
from tests.deployment import KUBERNETES, OLDEST, build, check, complaints, is_built_in, read, title
from tests.guides import blocks
from tests.helm import CHART, CLUSTER, HELM, RELEASE, RefusedError, render, texts
from tests.support import ROOT

BASE = KUBERNETES / "base"
COMPONENTS = KUBERNETES / "components"
OVERLAY = KUBERNETES / "overlays" / "cluster"
GUIDE = HELM / "README.md"

ROLES = {"receiver": Role.RECEIVE, "deliverer": Role.DELIVER}
"""The roles of a cluster by what stands behind the names of their objects."""

ADDED = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "checksum/environment",
    "checksum/settings",
    "helm.sh/chart",
}
"""Labels and annotations that objects have by Helm alone."""

BY_NATS = {
    "maxReplicas": 4,
    "prometheus": None,
    "nats": {"monitoringEndpoint": "nats-headless.nats.svc:8222", "threshold": 60},
}
ALONE = {"roles": {"deliver": {"autoscaling": None}}}

CASES = {
    "default": ((), {}),
    "cluster": ((CLUSTER,), {}),
    "by-nats": ((CLUSTER,), {"roles": {"deliver": {"autoscaling": BY_NATS}}}),
    "without-keda": ((CLUSTER,), ALONE),
    "all-of-it": (
        (),
        {
            "prometheusOperator": {"enabled": True, "labels": {"release": "prometheus"}},
            "services": {
                "annotations": {"a/b": "true"},
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
            },
            "podSpec": {"nodeSelector": {"disk": "fast"}, "priorityClassName": "high"},
            "roles": {"all": {"storage": {"storageClassName": "fast"}}},
        },
    ),
}


@cache
def rendered(case):
    files, own = CASES[case]
    return {title(each): each for each in render(*files, **own)}


# The same as Kustomize.


def base():
    """Return the objects of the base by title, as its files have them."""
    made = read(BASE / "kustomization.yaml")
    found = [each for name in made["resources"] for each in yaml.safe_load_all(_text(name))]
    for maker in made["configMapGenerator"]:
        data = {name: _text(name) for name in maker.get("files", ())}
        data |= dict(literal.split("=", 1) for literal in maker.get("literals", ()))
        meta = {"metadata": {"name": maker["name"]}, "data": data}
        found.append({"apiVersion": "v1", "kind": "ConfigMap"} | meta)
    return by_title(found)


def _text(name):
    return (BASE / name).read_text(encoding="utf-8")


def by_title(objects):
    return {title(each): each for each in map(comparable, objects) if each["kind"] != "Namespace"}


def comparable(manifest):
    """Return an object without what only one of both adds, what has no order in one order."""
    found = _stripped(manifest)
    found["metadata"].pop("namespace", None)
    if found["kind"] == "ConfigMap":
        found["metadata"].pop("labels", None)
        settings = found["data"].get("collector.yaml")
        if settings:
            found["data"]["collector.yaml"] = yaml.safe_load(settings)
    if found["kind"] == "StatefulSet":
        pod = found["spec"]["template"]["spec"]
        pod["volumes"].sort(key=lambda each: each["name"])
        pod["containers"][0]["volumeMounts"].sort(key=lambda each: each["name"])
    return found


def _stripped(value):
    """Take away what Helm adds, and the hashes that Kustomize puts behind names."""
    if isinstance(value, dict):
        kept = {key: _stripped(value[key]) for key in value if key not in ADDED}
        return {key: item for key, item in kept.items() if (key, item) != ("annotations", {})}
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    is_text = isinstance(value, str)
    return (
        re.sub(r"^(collector-(?:config|environment)[a-z-]*)-\w{10}$", r"\1", value)
        if is_text
        else value
    )


def test_by_default_it_makes_what_the_base_has():
    assert by_title(rendered("default").values()) == base()


@pytest.mark.parametrize("case", ["cluster", "by-nats"])
def test_with_its_values_for_a_cluster_it_makes_what_the_overlay_has(case):
    """Whatever scales the deliverers."""
    wanted = by_title(build(OVERLAY))
    if case == "by-nats":
        (scaled,) = by_title([read(COMPONENTS / "keda-nats" / "scaledobject.yaml")]).items()
        wanted |= dict([scaled])
    assert by_title(rendered(case).values()) == wanted


# The same without a program that builds the overlay: what its files say.


@pytest.mark.parametrize("kind", ROLES)
def test_settings_of_a_cluster_are_those_of_the_overlay(kind):
    found = comparable(rendered("cluster")[f"ConfigMap-collector-config-{kind}"])
    assert found["data"] == {"collector.yaml": read(OVERLAY / "settings" / "collector.yaml")}


@pytest.mark.parametrize("kind", ROLES)
def test_what_the_overlay_changes_is_in_the_values(kind):
    """Patches that are parts of objects, and those that are values for places in them."""
    stateful = rendered("without-keda")[f"StatefulSet-collector-{kind}"]
    patch = read(OVERLAY / f"{kind}s" / "statefulset.yaml")
    assert is_part(patch["spec"], stateful["spec"])
    (size,) = read(OVERLAY / f"{kind}s" / "volume.yaml")
    (claim,) = stateful["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == size["value"]
    makers = read(OVERLAY / f"{kind}s" / "kustomization.yaml")["configMapGenerator"]
    makers += read(OVERLAY / "settings" / "kustomization.yaml")["configMapGenerator"]
    literals = [literal for maker in makers for literal in maker.get("literals", ())]
    environment = rendered("cluster")[f"ConfigMap-collector-environment-{kind}"]["data"]
    assert environment == dict(literal.split("=", 1) for literal in literals)


def test_what_the_overlay_changes_at_places_is_so():
    """Ports, and who reaches whom."""
    found = rendered("cluster")
    rules = {kind: found[f"NetworkPolicy-collector-{kind}"]["spec"] for kind in ROLES}
    _, monitoring = base()["NetworkPolicy-collector"]["spec"]["ingress"]
    names, sinks = base()["NetworkPolicy-collector"]["spec"]["egress"]
    (replaced,) = read(OVERLAY / "receivers" / "networkpolicy.yaml")
    assert rules["receiver"]["egress"] == replaced["value"]
    removed, added = read(OVERLAY / "deliverers" / "networkpolicy.yaml")
    assert (removed["op"], added["path"]) == ("remove", "/spec/egress/-")
    assert rules["deliverer"]["egress"] == [names, sinks, added["value"]]
    assert rules["deliverer"]["ingress"] == [monitoring]
    (ports,) = read(OVERLAY / "deliverers" / "ports.yaml")
    pod = found["StatefulSet-collector-deliverer"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["ports"] == ports["value"]


def is_part(part, whole):
    """Say whether what is in one is in the other; items of lists go by their names."""
    if isinstance(part, dict):
        return all(key in whole and is_part(part[key], whole[key]) for key in part)
    if isinstance(part, list) and all(isinstance(item, dict) and "name" in item for item in part):
        return all(any(is_part(item, other) for other in whole) for item in part)
    return part == whole


@pytest.mark.parametrize(
    ("case", "file"),
    [
        ("cluster", "keda-prometheus/scaledobject.yaml"),
        ("by-nats", "keda-nats/scaledobject.yaml"),
        ("cluster", "prometheus-operator/servicemonitor.yaml"),
        ("cluster", "prometheus-operator/prometheusrule.yaml"),
    ],
)
def test_other_objects_are_those_of_the_components(case, file):
    wanted = comparable(read(COMPONENTS / file))
    assert comparable(rendered(case)[title(wanted)]) == wanted


def test_the_rules_are_those_of_prometheus():
    ours, theirs = CHART / "files" / "collector.rules.yml", "deploy/prometheus/collector.rules.yml"
    command = f"cp {theirs} {ours.relative_to(ROOT)}"
    assert ours.read_text() == (ROOT / theirs).read_text(), command


# What Kubernetes and the collector say.


@pytest.mark.parametrize("case", CASES)
def test_objects_are_as_kubernetes_has_them(case):
    """Of the oldest version that the chart names, and of the newest."""
    assert read(CHART / "Chart.yaml")["kubeVersion"] == f">={OLDEST}.0-0"
    for manifest in filter(is_built_in, rendered(case).values()):
        assert complaints(manifest, OLDEST) + complaints(manifest) == [], title(manifest)


@pytest.mark.parametrize("case", ["default", "cluster"])
def test_the_pods_of_each_role_can_use_their_settings(case, tmp_path, monkeypatch):
    """With what is in their environment."""
    found = rendered(case)
    names = [name for name in found if name.startswith("ConfigMap-collector-config")]
    assert len(names) == {"default": 1, "cluster": 2}[case]
    for name in names:
        path = tmp_path / name
        path.write_text(found[name]["data"]["collector.yaml"])
        variables = found[name.replace("config", "environment")]["data"]
        role = variables.get(VARIABLE, str(Role.ALL))
        check(path, variables, tmp_path, monkeypatch, "--role", role)


# Values of one's own.


def own(**fields):
    """Return settings with one listener more than by default."""
    listeners = [*read(CHART / "values.yaml")["settings"]["listeners"]]
    return {"listeners": [*listeners, {"name": "own", "port": 20514, **fields}]}


@pytest.mark.parametrize(("transport", "protocol"), [("relp", "TCP"), ("udp", "UDP")])
def test_a_listener_has_its_port_wherever_one_is_needed(transport, protocol):
    found = {
        title(each): each["spec"]
        for each in render(settings=own(transport=transport))
        if "spec" in each
    }
    (container,) = found["StatefulSet-collector"]["template"]["spec"]["containers"]
    assert {"name": "own", "protocol": protocol, "containerPort": 20514} in container["ports"]
    service = found[f"Service-collector-{protocol.lower()}"]["ports"]
    assert {"name": "own", "protocol": protocol, "port": 20514, "targetPort": "own"} in service
    senders, _ = found["NetworkPolicy-collector"]["ingress"]
    assert {"protocol": protocol, "port": "own"} in senders["ports"]


def test_a_listener_without_a_port_has_none():
    settings = own(transport="unix", path="/tmp/own")
    del settings["listeners"][-1]["port"]
    assert "own" not in "".join(
        text for name, text in texts(settings=settings).items() if name != "settings.yaml"
    )


def test_a_protocol_that_nobody_listens_to_has_no_service():
    settings = {"listeners": [{"name": "tls", "transport": "tcp", "port": 6514}]}
    found = {title(each) for each in render(settings=settings)}
    assert {name for name in found if name.startswith("Service-")} == {
        "Service-collector",
        "Service-collector-tcp",
    }


def test_without_ports_of_sinks_no_port_is_open_to_all():
    """A rule that names none would allow every one."""
    found = {title(each): each for each in render(networkPolicy={"sinkPorts": []})}
    (names,) = found["NetworkPolicy-collector"]["spec"]["egress"]
    assert {port["port"] for port in names["ports"]} == {53}


@pytest.mark.parametrize(
    "text", ["true", "1", "1e3", "0x1f", "null", "12:30", "a: b", "# a", "", "'"]
)
def test_texts_that_yaml_could_misread_stay_texts(text):
    settings = own(transport="udp", timezone=text)
    found = {
        title(each): each
        for each in render(
            release="12",
            environment={"SOME": text},
            services={"annotations": {"some": text}},
            settings=settings,
        )
    }
    assert found["ConfigMap-12-collector-environment"]["data"]["SOME"] == text
    udp = found["Service-12-collector-udp"]
    assert udp["metadata"]["annotations"] == {"some": text}
    assert udp["spec"]["selector"]["app.kubernetes.io/instance"] == "12"
    written = found["ConfigMap-12-collector-config"]["data"]["collector.yaml"]
    assert yaml.safe_load(written)["listeners"] == settings["listeners"]


@pytest.mark.parametrize("nats", [False, True])
def test_deliverers_are_scaled_by_each_sink_that_takes_more_than_a_batch_at_a_time(nats):
    sinks = [{"name": "a.b"}, {"name": "one", "concurrency": 1}, {"name": "c", "concurrency": 2}]
    autoscaling = BY_NATS if nats else {}
    found = render(
        CLUSTER, settings={"sinks": sinks}, roles={"deliver": {"autoscaling": autoscaling}}
    )
    (scaled,) = [each["spec"] for each in found if each["kind"] == "ScaledObject"]
    said = [each["metadata"] for each in scaled["triggers"]]
    if nats:
        assert [each["consumer"] for each in said] == ["a=b", "c"]
    else:
        assert [re.findall(r'sink="(.+?)"', each["query"]) for each in said] == [
            ["a.b"] * 2,
            ["c"] * 2,
        ]


@pytest.mark.parametrize(
    ("files", "wrong", "said"),
    [
        ((), {"setting": {}}, "('setting' was unexpected)"),
        ((), {"image": None}, ": 'image' is a required property"),
        ((), {"environment": {"SOME": 1}}, "environment.SOME: 1 is not of type 'string'"),
        (
            (),
            {"settings": {"admin": {"port": "x"}}},
            "settings.admin.port: 'x' is not of type 'integer'",
        ),
        (
            (),
            {"settings": {"listeners": [{"name": "A", "transport": "udp"}]}},
            "settings.listeners.0.name: 'A' does not match",
        ),
        ((), {"services": {"type": "ClusterIP"}}, "services.type: 'ClusterIP' is not one of"),
        ((), {"roles": {"all": {"autoscaling": {}}}}, "roles.all: 'autoscaling' is not one of"),
        (
            (),
            {"roles": {"receiver": {}}},
            "roles: Additional properties are not allowed ('receiver' was unexpected)",
        ),
        ((), {"roles": {"receive": {}}}, "roles.receive: 'replicas' is a required property"),
        (
            (CLUSTER,),
            {"roles": {"all": {"replicas": 1}}},
            "roles: either all, or receive and deliver: set roles.all to null",
        ),
        (
            (CLUSTER,),
            {"settings": {"sinks": [{"name": "a", "concurrency": 1}]}},
            "autoscaling: every sink has concurrency 1",
        ),
        (
            (CLUSTER,),
            {"roles": {"deliver": {"autoscaling": {"prometheus": None}}}},
            "autoscaling: say what it goes by",
        ),
    ],
)
def test_values_that_are_wrong_are_refused_and_said_to_be(files, wrong, said):
    with pytest.raises(RefusedError, match=re.escape(said)):
        texts(*files, **wrong)


# Upgrades.


UPGRADE = {
    "image": "registry.example/collector:2",
    "settings": {"shutdown_grace": "5s"},
    "environment": {"SINK_FORMAT": "json_array"},
    "podSpec": {"priorityClassName": "high"},
}


@pytest.mark.parametrize("files", [(), (CLUSTER,)], ids=["default", "cluster"])
def test_what_cannot_be_changed_is_left_as_it_is(files):
    """Of a StatefulSet all but a few fields; what Services and claims are found by."""

    def fixed(objects):
        found = {title(each): each.get("spec", {}) for each in objects}
        kept = {
            "serviceName",
            "selector",
            "podManagementPolicy",
            "volumeClaimTemplates",
            "clusterIP",
        }
        return {
            name: {key: spec[key] for key in spec if key in kept} for name, spec in found.items()
        }

    after = fixed(render(*files, version="9.9.9", **UPGRADE))
    assert after == fixed(render(*files))
    assert sum("volumeClaimTemplates" in spec for spec in after.values()) == 1 + len(files)


def pods(**values):
    """Return the template of each role's pods."""
    found = render(CLUSTER, **values)
    return {
        each["metadata"]["name"].removeprefix("collector-"): each["spec"]["template"]
        for each in found
        if each["kind"] == "StatefulSet"
    }


@pytest.mark.parametrize(
    ("change", "whose"),
    [
        ({"settings": {"shutdown_grace": "5s"}}, [*ROLES]),
        ({"environment": {"SINK_FORMAT": "json_array"}}, [*ROLES]),
        ({"roles": {"deliver": {"environment": {"SOME": "other"}}}}, ["deliverer"]),
        ({"image": "registry.example/collector:2"}, [*ROLES]),
        ({"version": "9.9.9"}, []),
        ({"services": {"type": "NodePort"}}, []),
    ],
)
def test_pods_are_made_anew_where_what_they_read_has_changed(change, whose):
    before, after = pods(), pods(**change)
    assert [kind for kind in ROLES if before[kind] != after[kind]] == whose


def test_two_releases_in_a_namespace_have_nothing_in_common():
    one, other = (render(CLUSTER, release=name) for name in ("one", "other"))
    assert {*map(title, one)}.isdisjoint(map(title, other))
    labels = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in other
        if each["kind"] == "StatefulSet"
    ]
    for each in one:
        for by in selectors(each):
            assert [found for found in labels if by.items() <= found.items()] == [], title(each)


def selectors(manifest):
    """Return by which labels an object finds pods, or Services that do."""
    spec = manifest.get("spec", {})
    found = [spec.get(name) for name in ("selector", "podSelector")]
    return [each.get("matchLabels", each) for each in found if each]


# The guide.


def test_the_chart_has_the_version_of_the_collector():
    found = read(CHART / "Chart.yaml")
    assert (found["name"], found["appVersion"]) == (RELEASE, __version__)


@pytest.mark.parametrize("case", ["default", "cluster"])
def test_the_notes_name_what_there_is(case):
    files, _ = CASES[case]
    notes = texts(*files)["NOTES.txt"]
    named = re.findall(r"statefulset/(\S+)", notes)
    assert [f"StatefulSet-{name}" for name in named] == [
        name for name in rendered(case) if name.startswith("StatefulSet-")
    ]
    (secrets,) = re.findall(r"get secret (.+)", notes)
    assert secrets == ("collector-nats collector-secrets" if files else "collector-secrets")


def test_files_that_the_guide_names_are_there():
    script = "\n".join(block.text for block in blocks(GUIDE, "sh"))
    named = {word for word in shlex.split(script, comments=True) if word.startswith("deploy/")}
    assert {"deploy/helm/collector", "deploy/helm/cluster.yaml"} <= named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_values_of_the_guide_can_be_used():
    (block,) = blocks(GUIDE, "yaml")
    found = {title(each): each for each in render(**yaml.safe_load(block.text))}
    assert found.keys() > rendered("default").keys()


def test_settings_are_taken_out_of_what_is_rendered_as_the_guide_says():
    """By the part of its command behind Helm."""
    script = "\n".join(block.text for block in blocks(GUIDE, "sh"))
    (command,) = re.findall(
        r"-s templates/settings\.yaml.*?\| (sed .*?) > collector\.yaml", script, re.DOTALL
    )
    shown = texts(CLUSTER)["settings.yaml"]
    done = subprocess.run(
        shlex.split(command), input=shown, capture_output=True, text=True, check=True
    )
    assert yaml.safe_load(done.stdout) == read(OVERLAY / "settings" / "collector.yaml")
