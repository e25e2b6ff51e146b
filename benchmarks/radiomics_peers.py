"""Time one extractor, in a process of its own and in its own environment; see radiomics.py.

    python radiomics_peers.py NAME JOB.json

Nothing but what the named extractor needs is imported. The job holds pairs of files (image, mask),
whether reading them is timed, and how long to go on repeating. What was measured is printed as
JSON, on the last line.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BIN_WIDTH = 25
CLASSES = ("shape", "firstorder", "glcm", "glrlm", "glszm", "gldm")
Read = Callable[[str], Any]
Extract = Callable[[Any, Any], dict[str, float]]


def kit() -> tuple[Read, Read, Extract]:
    """Extraction as the kit's notebooks do it."""
    from nextaim_kit.data.images.reading import read_image, read_mask
    from nextaim_kit.studies.ct_radiomics.extraction import extract

    return read_image, read_mask, extract


def pyradiomics() -> tuple[Read, Read, Extract]:
    """As its documentation shows it, with the study's settings and features."""
    import SimpleITK as sitk
    from radiomics.featureextractor import RadiomicsFeatureExtractor
    from radiomics.glcm import RadiomicsGLCM

    logging.getLogger("radiomics").setLevel(logging.ERROR)
    extractor = RadiomicsFeatureExtractor(
        binWidth=BIN_WIDTH, geometryTolerance=1e-4, label=1, resampledPixelSpacing=None
    )
    extractor.disableAllFeatures()
    for name in CLASSES:
        extractor.enableFeatureClassByName(name)
    names = RadiomicsGLCM.getFeatureNames().items()
    kept = [n for n, old in names if not old and n not in ("SumAverage", "MCC")]
    extractor.enabledFeatures["glcm"] = kept

    def run(image: Any, mask: Any) -> dict[str, float]:
        found = extractor.execute(image, mask)
        return {k: float(v) for k, v in found.items() if not k.startswith("diagnostics")}

    return sitk.ReadImage, sitk.ReadImage, run


def pictologics() -> tuple[Read, Read, Extract]:
    """The same classes by the IBSI's definitions; what others do not compute is left off."""
    import pictologics

    pictologics.set_num_threads(1)
    pipeline = pictologics.RadiomicsPipeline(load_standard=False)
    families = ["intensity", "morphology", "glcm", "glrlm", "glszm", "ngldm"]
    off = {"include_spatial_intensity": False, "include_local_intensity": False}
    bins = {"method": "FBS", "bin_width": BIN_WIDTH, "min_val": -1100}
    pipeline.add_config(
        "study",
        [
            {"step": "discretise", "params": bins},
            {"step": "extract_features", "params": {"families": families, **off}},
        ],
    )

    def run(image: Any, mask: Any) -> dict[str, float]:
        return dict(pipeline.run(image, mask)["study"])

    return pictologics.load_image, pictologics.load_image, run


def nyxus() -> tuple[Read, Read, Extract]:
    """It takes files only: it reads them each time."""
    import nyxus

    groups = ("INTENSITY", "MORPHOLOGY")
    matrices = ("GLCM", "GLRLM", "GLSZM", "GLDM")
    wanted = [f"*3D_ALL_{g}*" for g in groups] + [f"*3D_{m}*" for m in matrices]
    engine = nyxus.Nyxus3D(wanted, n_feature_calc_threads=1)

    def run(image: str, mask: str) -> dict[str, float]:
        return dict(engine.featurize_files([image], [mask], False).iloc[0])

    return str, str, run


def flash() -> tuple[Read, Read, Extract]:
    """flash-radiomics on the processor, with the same classes."""
    import SimpleITK as sitk
    from flash_radiomics import RadiomicsFeatureExtractor

    extractor = RadiomicsFeatureExtractor(backend="cpu", num_threads=1, binWidth=BIN_WIDTH)
    extractor.disableAllFeatures()
    for name in CLASSES:
        extractor.enableFeatureClassByName(name)

    def run(image: Any, mask: Any) -> dict[str, float]:
        return dict(extractor.execute(image, mask, label=1))

    return sitk.ReadImage, sitk.ReadImage, run


def peak_gb() -> float:
    """Peak memory of this process."""
    lines = dict(x.split(":", 1) for x in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 2**20


def main() -> None:
    """Measure what the job says."""
    name, job = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    # This folder holds a script with pyradiomics' module name.
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).parent]
    read, read_mask, run = globals()[name]()
    run(read(job["tiny"][0]), read_mask(job["tiny"][1]))  # imports, and what compiles, do not count
    before = peak_gb()
    pairs = [(p, m) if job["reading"] else (read(p), read_mask(m)) for p, m in job["pairs"]]
    cpu, wall = [], []
    while not cpu or (sum(wall) < job["seconds"] and len(cpu) < 20):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        if job["reading"]:
            values = [run(read(p), read_mask(m)) for p, m in pairs]
        else:
            values = [run(image, mask) for image, mask in pairs]
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - begin_cpu)
    print()
    found = {"cpu": statistics.median(cpu), "wall": statistics.median(wall), "peak_gb": peak_gb()}
    found |= {"start_gb": before, "features": len(values[0]), "repeats": len(cpu)}
    kept = [{k: float(v) for k, v in row.items()} for row in values] if job["values"] else []
    print(json.dumps({**found, "values": kept}), flush=True)
    os._exit(0)  # threads of an extractor may not end


if __name__ == "__main__":
    main()
