"""KubeSpawner without Kubernetes: its form and its pod's manifest, but a local process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SimpleLocalProcessSpawner, Spawner
from traitlets import Dict, Unicode

# Read when KubeSpawner's client is imported, so set before.
os.environ["KUBECONFIG"] = str(Path(__file__).with_name("no-cluster.kubeconfig"))
os.environ.pop("KUBERNETES_SERVICE_HOST", None)
from kubespawner import KubeSpawner


class TrialSpawner(SimpleLocalProcessSpawner, KubeSpawner):
    """Offers the profiles, writes the manifest that Kubernetes would get, starts a process."""

    manifests = Unicode(help="Folder of the manifests, one file per user").tag(config=True)
    local = Dict(help="Settings of the server here, which no cluster would get").tag(config=True)
    progress = Spawner.progress  # KubeSpawner's is made of events of the cluster
    _here = False  # whether the settings are those of the server here already

    async def start(self) -> tuple[str, int]:
        """Write the manifest of the chosen profile, then start a server here."""
        await self.load_user_options()
        pod = await self.get_pod_manifest()
        manifest = self.api.api_client.sanitize_for_serialization(pod)
        path = Path(self.manifests) / f"{self.user.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(without_tokens(manifest), indent=1))
        self._here, self.ip, self.port = True, "127.0.0.1", 0  # any port that is free
        for name, value in self.local.items():
            setattr(self, name, value)
        return await super().start()

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """Home and the like for a server here; a pod has its image's."""
        return super().user_env(env) if self._here else env

    async def delete_forever(self) -> None:
        """Leave the home of a deleted user: there is no claim to delete."""


def without_tokens(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest whose environment has no tokens, in place."""
    for container in manifest["spec"]["containers"]:
        for variable in container["env"]:
            if variable["name"].endswith("_TOKEN"):
                variable["value"] = "<token>"
    return manifest


def spawner_settings(values: dict[str, Any]) -> dict[str, Any]:
    """What the chart makes of its `singleuser` values: KubeSpawner's settings."""
    user = values["singleuser"]
    storage, image = user["storage"], user["image"]
    home = {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}
    return {
        "image": f"{image['name']}:{image['tag']}",
        "cmd": user["cmd"],
        "default_url": user["defaultUrl"],
        "start_timeout": user["startTimeout"],
        "uid": 1000,  # the chart's defaults, as is the home's place
        "fs_gid": 100,
        "cpu_limit": user["cpu"]["limit"],
        "cpu_guarantee": user["cpu"]["guarantee"],
        "mem_limit": user["memory"]["limit"],
        "mem_guarantee": user["memory"]["guarantee"],
        "storage_capacity": storage["capacity"],
        "volumes": [home, *storage["extraVolumes"]],
        "volume_mounts": [
            {"name": "home", "mountPath": "/home/jovyan"},
            *storage["extraVolumeMounts"],
        ],
        "profile_list": user["profileList"],
    }
