"""pyradiomics' parameter files: read as they are, checked by its own schema, refused by name."""

from __future__ import annotations

import difflib
import json
import logging
import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from nextaim_kit.errors import RequestError
from nextaim_kit.yaml_text import parse_yaml

# pyradiomics reads these before it looks at image types: below one of them they do nothing.
_BEFORE_FILTERS = {
    "additionalInfo", "correctMask", "geometryTolerance", "interpolator", "label", "label_channel",
    "minimumROIDimensions", "minimumROISize", "normalize", "normalizeScale", "padDistance",
    "preCrop", "removeOutliers", "resampledPixelSpacing", "resegmentMode", "resegmentRange",
    "resegmentShape",
}  # fmt: skip
# Settings that pyradiomics takes for not given where they have no value; others it stumbles over.
_NONE = {
    "additionalInfo", "binCount", "correctMask", "force2D", "geometryTolerance", "interpolator",
    "minimumROISize", "normalize", "preCrop", "removeOutliers", "resampledPixelSpacing",
    "resegmentRange", "resegmentShape", "symmetricalGLCM", "weightingNorm",
}  # fmt: skip
_LENGTHS = {
    "resampledPixelSpacing": (3, 3, "three edges in mm (x, y, z), 0 to keep one as it is"),
    "resegmentRange": (1, 2, "one or two thresholds"),
    "distances": (1, math.inf, "at least one distance in voxels"),
}
_GONE = "it is of pyradiomics before 2.0, where C code could be switched off: remove the line"


def read_parameters(file: str | Path) -> dict[str, Any]:
    """Content of a pyradiomics 3.0.1 parameter file.

    Parameters
    ----------
    file : str or Path
        YAML or, by its ending, JSON: ``setting``, ``imageType``, ``featureClass``.

    Returns
    -------
    dict
        The three parts, a part that is not in the file left out; as `check_parameters` passed it.

    Raises
    ------
    RequestError
        If there is no such file, it is neither YAML nor JSON, or `check_parameters` refuses it.

    References
    ----------
    van Griethuysen et al., Cancer Research 2017, doi:10.1158/0008-5472.CAN-17-0339
    """
    path = Path(file).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
        said = _json(text) if path.suffix.lower() == ".json" else _yaml(text)
    except FileNotFoundError as error:
        raise RequestError(
            f"there is no parameter file {path}",
            expected="a pyradiomics parameter file (.yaml, .json)",
            mend="check the path; a relative one counts from the current folder",
        ) from error
    except (OSError, ValueError) as error:
        raise RequestError(
            f"{path.name} cannot be read as a parameter file",
            expected="a pyradiomics parameter file in YAML, or in JSON if it ends in .json",
            found=" ".join(str(error).split())[:300],
        ) from error
    return check_parameters(said, path.name)


def _yaml(text: str) -> Any:
    """What a text says to the very reader that pyradiomics has its files read by."""
    from ruamel.yaml import YAML, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or error
        raise ValueError(f"{said}" + (f", line {mark.line + 1}" if mark else "")) from error


def _json(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} is said twice")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=once, parse_constant=lambda name: name)


def check_parameters(said: Any, name: str) -> dict[str, Any]:
    """Refuse parameters that pyradiomics 3.0.1 would not take, or take and not look at.

    Parameters
    ----------
    said : object
        What a parameter file says.
    name : str
        What the errors call it.

    Raises
    ------
    RequestError
        If a name is not one of pyradiomics', naming the nearest; if a value is none it takes; if
        it asks for maps (``voxelSetting``), which are not made here.
    """
    if not isinstance(said, dict) or not said:
        raise RequestError(
            f"{name} holds no parameters",
            expected="setting, imageType and featureClass, or some of them",
            found=type(said).__name__,
        )
    _known(said, ("setting", "imageType", "featureClass", "voxelSetting"), f"{name}: part")
    if said.get("voxelSetting"):
        raise RequestError(
            f"{name}: voxelSetting asks for maps of features voxel by voxel, which are not made",
            expected="setting, imageType and featureClass: features of whole regions",
            mend="remove voxelSetting; maps are made by pyradiomics itself",
        )
    content = {
        part: said[part] for part in ("setting", "imageType", "featureClass") if part in said
    }
    _check_names(content, name)
    _check_schema(content, name)
    check_setting(content.get("setting", {}), name)
    for kind, custom in content.get("imageType", {}).items():
        check_setting(custom, f"{name}, imageType {kind}")
        for idle in sorted(_BEFORE_FILTERS & set(custom)):
            raise RequestError(
                f"{name}: {idle} below imageType {kind} would do nothing",
                expected="settings of the filter, of gray levels and of texture",
                mend="pyradiomics reads it before any filter: move it to setting",
            )
    return content


def _check_names(content: Mapping[str, Any], name: str) -> None:
    import radiomics

    _known(content.get("setting"), setting_names(), f"{name}: setting")
    types = content.get("imageType")
    _known(types, radiomics.getImageTypes(), f"{name}: imageType")
    for kind, custom in types.items() if isinstance(types, dict) else ():
        if custom is None:
            raise RequestError(f"{name}: imageType {kind} has no value", mend=f"write {kind}: {{}}")
        _known(custom, setting_names(), f"{name}: imageType {kind}: setting")
    classes, known = content.get("featureClass"), radiomics.getFeatureClasses()
    _known(classes, known, f"{name}: featureClass")
    for kind, features in classes.items() if isinstance(classes, dict) else ():
        if isinstance(features, list):
            _known(features, known[kind].getFeatureNames(), f"{name}: {kind}: feature")


@cache
def setting_names() -> tuple[str, ...]:
    """Names of all settings of a region that the installed pyradiomics takes, from its schema."""
    import radiomics

    schema, _ = radiomics.getParameterValidationFiles()
    return tuple(parse_yaml(Path(schema).read_text())["mapping"]["setting"]["mapping"])


def _known(given: Any, known: Iterable[str], what: str) -> None:
    """Refuse a name that is not known, with the nearest one."""
    names = list(known)
    for name in given if isinstance(given, (dict, list)) else ():
        if name in names:
            continue
        lower = {known.lower(): known for known in reversed(names)}
        near = difflib.get_close_matches(str(name).lower(), lower, n=1, cutoff=0.5)
        mend = f"did you mean {lower[near[0]]!r}?" if near else ""
        raise RequestError(
            f"{what} {name!r} is not known to pyradiomics",
            expected="one of " + ", ".join(names),
            mend=_GONE if name == "enableCExtensions" else mend,
        )


def _check_schema(content: Mapping[str, Any], name: str) -> None:
    """Refuse values that pyradiomics' own schema of its parameter files refuses."""
    import radiomics
    from pykwalify.core import Core
    from pykwalify.errors import PyKwalifyException

    logging.getLogger("pykwalify").setLevel(logging.CRITICAL)  # what is wrong is said below
    schema, functions = radiomics.getParameterValidationFiles()
    try:
        json.dumps(content, allow_nan=False)
        Core(source_data=content, schema_files=[schema], extensions=[functions]).validate()
    except (PyKwalifyException, ValueError, TypeError) as error:
        found = str(getattr(error, "msg", error)).replace("Schema validation failed:", "")
        raise RequestError(
            f"{name}: a setting cannot have its value",
            expected="what pyradiomics' schema of parameter files takes",
            found=re.sub(r"\.?: Path: '/'$", "", " ".join(found.split()))[:300],
        ) from error


def check_setting(setting: Mapping[str, Any], name: str) -> None:
    """Refuse values that the schema takes and pyradiomics then stumbles over on each subject."""
    import pywt

    for key, value in setting.items():
        few, many, expected = _LENGTHS.get(key, (0, math.inf, ""))
        if value is None and key not in _NONE and not (key == "binWidth" and "binCount" in setting):
            raise RequestError(
                f"{name}: {key} has no value", mend="give it one, or remove the line"
            )
        if isinstance(value, list) and not few <= len(value) <= many:
            raise RequestError(f"{name}: {key} has {len(value)} values", expected=expected)
        if any(map(_number_as_text, value if isinstance(value, list) else [value])):
            raise RequestError(
                f"{name}: {key} is text, not a number", found=repr(value), mend="remove the quotes"
            )
    wavelet = setting.get("wavelet")
    if wavelet is not None and wavelet not in pywt.wavelist(kind="discrete"):
        raise RequestError(
            f"{name}: wavelet {wavelet!r} is a continuous one",
            expected="a discrete one, such as coif1, haar or db4",
        )


def _number_as_text(value: Any) -> bool:
    """Whether a text holds a number: the schema takes it, pyradiomics cannot use it."""
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False
