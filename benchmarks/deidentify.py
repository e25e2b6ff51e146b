"""Who misses what: the kit and three libraries on the same planted DICOM files.

    python benchmarks/deidentify.py --peers PYTHON     # writes benchmarks/results/deidentify.json

PYTHON is the interpreter of an environment that has dicom-anonymizer, dicognito and deid; else
only the kit is run. Each is used as its documentation says, with its defaults. Counted are planted
identities that are still there, in the bytes of what it wrote, and look-alikes that are gone; file
names do not count, since a peer is told how to name its files. A file that a peer does not write
tells nothing and keeps nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/data/privacy"))

from planted import Planted, everything, plant

from nextaim_kit.data.privacy.deidentify import deidentify
from nextaim_kit.files import write_json

RESULT = Path(__file__).parent / "results" / "deidentify.json"
PEERS = {
    "dicom-anonymizer": """
import sys, pathlib
from dicomanonymizer import anonymize_dicom_file
for n, p in enumerate(sorted(pathlib.Path(sys.argv[1]).rglob("*.dcm"))):
    try:
        anonymize_dicom_file(str(p), f"{sys.argv[2]}/{n}.dcm")
    except Exception as error:
        print(n, type(error).__name__, file=sys.stderr)
""",
    "dicognito": """
import sys, pathlib, pydicom
from dicognito.anonymizer import Anonymizer
anonymizer = Anonymizer(seed="s")
for n, p in enumerate(sorted(pathlib.Path(sys.argv[1]).rglob("*.dcm"))):
    try:
        data = pydicom.dcmread(p)
        anonymizer.anonymize(data)
        data.save_as(f"{sys.argv[2]}/{n}.dcm")
    except Exception as error:
        print(n, type(error).__name__, file=sys.stderr)
""",
    "deid": """
import sys, pathlib, shutil, tempfile
from deid.dicom import get_identifiers, replace_identifiers
for n, p in enumerate(sorted(pathlib.Path(sys.argv[1]).rglob("*.dcm"))):
    try:
        copy = pathlib.Path(tempfile.mkdtemp()) / f"{n}.dcm"
        shutil.copy(p, copy)
        found = get_identifiers([str(copy)])
        replace_identifiers(dicom_files=[str(copy)], ids=found, save=True,
                            output_folder=sys.argv[2], overwrite=True)
    except Exception as error:
        print(n, type(error).__name__, file=sys.stderr)
""",
}


def judge(made: Planted, out: Path) -> dict[str, object]:
    """Identities that are left in a folder, and look-alikes that are not."""
    text = everything(out)
    low = text.casefold()
    missed = sorted(where for where, said in made.gone.items() if said.casefold() in low)
    lost = sorted(where for where, said in made.stays.items() if said not in text)
    files = len(list(out.rglob("*.dcm")))
    return {"missed": len(missed), "lost": len(lost), "files": files, "where": missed, "what": lost}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", help="interpreter of the environment with the peers")
    peers = parser.parse_args().peers
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        made = plant(root / "in", only_dicom=True)
        begin = time.process_time()
        deidentify(root / "in", root / "kit", root / "key")
        found = {"kit": judge(made, root / "kit") | {"cpu_s": time.process_time() - begin}}
        for peer, script in PEERS.items() if peers else ():
            (root / peer).mkdir()
            subprocess.run([peers, "-c", script, root / "in", root / peer], check=True)
            found[peer] = judge(made, root / peer)
    found["planted"] = {"identities": len(made.gone), "look_alikes": len(made.stays)}
    write_json(RESULT, found)
    for one, what in found.items():
        print(one, {key: value for key, value in what.items() if key not in ("where", "what")})


if __name__ == "__main__":
    main()
