"""The values for a cluster's hub: known names only, and pods that Kubernetes would take."""

import copy
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from nextaim_kit.machine import hub

KEYS = yaml.safe_load(Path(__file__).with_name("chart_keys.yaml").read_text())
PROFILE = {"display_name", "slug", "description", "default", "kubespawner_override"}
SLICES = {
    "mig-1g-10gb": ("nvidia.com/mig-1g.10gb", "1g.10gb"),
    "mig-1g-10gb-single": ("nvidia.com/gpu", "1g.10gb"),
    "mig-2g-20gb": ("nvidia.com/mig-2g.20gb", "2g.20gb"),
}
PROFILES = ["cpu", *SLICES]


@pytest.fixture(scope="module")
def traits(trial):
    """Names that KubeSpawner's settings have."""
    return set(trial.KubeSpawner.class_trait_names(config=True))


def unknown(values, traits, allowed=KEYS, place=""):
    """Names in the values that the chart, or KubeSpawner, does not know."""
    found = []
    for name, value in values.items():
        rule, here = allowed.get(name), f"{place}{name}"
        if rule is None or (isinstance(rule, dict) and not isinstance(value, dict)):
            found.append(here)
        elif isinstance(rule, dict):
            found += unknown(value, traits, rule, f"{here}.")
    for number, profile in enumerate(values.get("profileList", [])):
        here = f"{place}profileList[{number}]."
        override = set(profile.get("kubespawner_override", {}))
        found += [here + name for name in set(profile) - PROFILE]
        found += [f"{here}kubespawner_override.{name}" for name in override - traits]
    return found


def test_the_chart_and_kubespawner_know_every_name(values, traits):
    assert unknown(values, traits) == []


@pytest.mark.parametrize(
    "place",
    [
        ("cul",),
        ("cull", "evry"),
        ("singleuser", "defaultURL"),
        ("singleuser", "memory", "limits"),
        ("singleuser", "storage", "extraVolume"),
        ("singleuser", "storage", "dynamic", "storageclass"),
        ("singleuser", "profileList", 1, "displayname"),
        ("singleuser", "profileList", 1, "kubespawner_override", "memory_limit"),
    ],
)
def test_a_misspelt_name_is_caught_at_every_level(values, traits, place):
    planted = copy.deepcopy(values)
    inside = planted
    for step in place[:-1]:
        inside = inside[step] if isinstance(step, int) else inside.setdefault(step, {})
    inside[place[-1]] = {}
    (found,) = unknown(planted, traits)
    assert found.rpartition(".")[2] == place[-1]


@pytest.mark.parametrize("profile", PROFILES)
def test_kubernetes_takes_the_pod_of_every_profile(pod_of, profile):
    pod = pod_of(profile)
    assert kubernetes_validate.validate(pod, "1.32", strict=True)
    limits = pod["spec"]["containers"][0]["resources"]["limits"]
    requests = pod["spec"]["containers"][0]["resources"]["requests"]
    assert int(requests["memory"]) < int(limits["memory"])
    assert float(requests["cpu"]) < float(limits["cpu"])


def test_a_planted_fault_in_a_pod_is_caught(pod_of):
    pod = pod_of("cpu")
    pod["spec"]["containers"][0]["volumeMounts"][0]["mountpath"] = "/dev/shm"
    with pytest.raises(kubernetes_validate.ValidationError, match="mountpath"):
        kubernetes_validate.validate(pod, "1.32", strict=True)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_pod_has_shared_memory_of_its_own_within_its_limit(pod_of, profile):
    spec = pod_of(profile)["spec"]
    (mount,) = (m for m in spec["containers"][0]["volumeMounts"] if m["mountPath"] == "/dev/shm")
    (volume,) = (v for v in spec["volumes"] if v["name"] == mount["name"])
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert int(spec["containers"][0]["resources"]["limits"]["memory"]) > 2**30


def test_the_default_pod_has_two_cores_4_gb_and_no_gpu(values, pod_of):
    (default,) = (p["slug"] for p in values["singleuser"]["profileList"] if p.get("default"))
    limits = pod_of(default)["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": 2.0, "memory": 4 * 2**30}


@pytest.mark.parametrize("profile", SLICES)
def test_a_slice_s_pod_asks_for_one_and_tells_the_kit_what_was_promised(pod_of, profile):
    resource, promise = SLICES[profile]
    (container,) = pod_of(profile)["spec"]["containers"]
    slices = {k: v for k, v in container["resources"]["limits"].items() if "nvidia" in k}
    assert slices == {resource: "1"}
    assert {"name": "NEXTAIM_EXPECTS", "value": promise} in container["env"]


def test_where_all_slices_are_alike_the_node_s_label_is_required(pod_of):
    affinity = pod_of("mig-1g-10gb-single")["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (label,) = term["matchExpressions"]
    assert (label["key"], label["operator"]) == ("nvidia.com/gpu.product", "In")
    assert all(value.endswith("-MIG-1g.10gb") for value in label["values"])


def test_a_run_s_word_to_the_hub_comes_often_enough_for_the_culler(values):
    assert values["cull"]["enabled"]
    assert values["cull"]["timeout"] >= 3 * hub._EVERY
    assert values["cull"]["maxAge"] == 0
