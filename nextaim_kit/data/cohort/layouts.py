"""Which volumes of a folder belong to one subject, by their names and those of their folders."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nextaim_kit.data.paths import VOLUMES

# Words at the end of a file's name, or the name of its folder, that say what it is.
_ROLES = {
    "image": "image images img imgs im ct cts volume volumes vol scan scans",
    "mask": "mask masks label labels seg segm segmentation segmentations dseg roi rois gtv ctv "
    "contour lesion lesions tumor tumour gt truth annotation annotations",
    "lungs": "lung lungs",
    "derived": "derivatives",
}
_WORDS = {word: role for role, words in _ROLES.items() for word in words.split()}
# Those that say it at the beginning too, as in volume-0 and segmentation-0.
_FIRST = {
    "image",
    "img",
    "ct",
    "volume",
    "scan",
    "mask",
    "label",
    "seg",
    "segmentation",
    "roi",
    "gtv",
}
_BIDS = re.compile(r"(sub|ses)-\w+")
_PART = re.compile(r"(Tr|Ts|Val)$")  # of nnU-Net and the Medical Segmentation Decathlon
_CHANNEL = re.compile(r"(.+)_(\d{4})")


@dataclass
class Subject:
    """A subject's files by role."""

    home: tuple[str, ...]  # folders that tell it from others of its name
    name: str  # empty: that of its folder
    image: list[Path] = field(default_factory=list)
    mask: list[Path] = field(default_factory=list)
    lungs: list[Path] = field(default_factory=list)
    slices: list[Path] = field(default_factory=list)  # of a DICOM series
    problem: str = ""


@dataclass(frozen=True)
class _Volume:
    path: Path
    role: str  # image, mask, lungs, derived, or empty where no name says it
    home: tuple[str, ...]
    name: str  # without the word for its role
    key: str  # without any such word at its end: the same for an image and its masks


def group(paths: Sequence[Path], folder: Path) -> tuple[list[Subject], set[str]]:
    """Put together the volumes of each subject.

    In one folder an image and masks whose names differ by such words alone are a subject's, named
    so. A folder with one image is a subject, as is one of BIDS.

    Parameters
    ----------
    paths : sequence of Path
        Volumes below `folder`; none is opened.

    Returns
    -------
    subjects : list of Subject
    layouts : set of str
        What the layouts are called.
    """
    homes: dict[tuple[str, ...], list[_Volume]] = defaultdict(list)
    for path in paths:
        volume = _volume(path, path.relative_to(folder).parts[:-1])
        homes[volume.home].append(volume)
    masks = Counter(key for of in homes.values() for key in {v.key for v in of if v.role == "mask"})
    usual = {"", *(key for key, count in masks.items() if count > 1)}  # names of no subject
    subjects, layouts = [], set()
    for home, volumes in sorted(homes.items()):
        kept = _first_channels(volumes)
        found, layout = _in_one_folder(home, _without_derived(kept), usual)
        subjects += found
        if any(subject.image for subject in found):
            layouts.add(layout if kept is volumes else "nnU-Net")
    return subjects, layouts


def _volume(path: Path, folders: tuple[str, ...]) -> _Volume:
    suffix = max((s for s in VOLUMES if path.name.lower().endswith(s)), key=len)
    words = re.split(r"([_\-. ]+)", path.name[: -len(suffix)])
    kept, said = words, []
    while kept and _role(kept[-1]):
        said.append(_role(kept[-1]))
        kept = kept[:-2]
    above = [role for role in map(_role, folders) if role]
    role = (said or above[-1:] or [""])[0]
    if role == "image" and above[-1:] in (["mask"], ["lungs"]):
        role = above[-1]
    if role == "mask" and "lungs" in said:  # such as lung_mask
        role = "lungs"
    name = words[:-2] if said else words
    if not role and words[0].lower() in _FIRST:
        role, name, kept = _role(words[0]), words[2:], words[2:]
    bids = tuple(part for part in folders if _BIDS.fullmatch(part))
    home = bids or tuple(part for part in folders if not _role(part))
    return _Volume(path, role, home, "".join(name), "".join(kept))


def _role(word: str) -> str:
    """What a word in the name of a file or folder says; masks may be numbered."""
    word = _PART.sub("", word).lower()
    numbered = _WORDS.get(word.rstrip("0123456789"), "")
    return _WORDS.get(word) or (numbered if numbered == "mask" else "")


def _first_channels(volumes: list[_Volume]) -> list[_Volume]:
    """As nnU-Net names them, ``X_0000`` is the image of the label ``X``, ``X_0001`` left out."""
    images = [v for v in volumes if v.role == "image"]
    matches = [m for v in images if (m := _CHANNEL.fullmatch(v.key))]
    masks = {v.key for v in volumes if v.role == "mask"}
    theirs = masks & {m[1] for m in matches} and not masks & {v.key for v in images}
    unlabeled = not masks and all(_PART.search(v.path.parent.name) for v in images)
    if not matches or len(matches) < len(images) or not (theirs or unlabeled):
        return volumes
    both = zip(images, matches, strict=True)
    first = [replace(v, name=m[1], key=m[1]) for v, m in both if m[2] == "0000"]
    return [*first, *(v for v in volumes if v.role != "image")]


def _without_derived(volumes: list[_Volume]) -> list[_Volume]:
    """Without what was made of the images, where these are there."""
    raw = [v for v in volumes if v.role != "derived"]
    if any(v.role in ("image", "") for v in raw):
        return raw
    return [replace(v, role="") if v.role == "derived" else v for v in volumes]


def _in_one_folder(
    home: tuple[str, ...], volumes: list[_Volume], usual: set[str]
) -> tuple[list[Subject], str]:
    if home and _BIDS.fullmatch(home[0]):
        return [_together(home, "_".join(home), volumes)], "BIDS"
    if _belong_together(home, volumes, usual):
        alone = "".join(v.name for v in volumes if v.role in ("image", ""))
        return [_together(home, "" if home else alone, volumes)], "a folder for each subject"
    keys: dict[str, list[_Volume]] = defaultdict(list)
    for volume in sorted(volumes, key=lambda v: v.role not in ("image", "")):
        keys[volume.key].append(volume)
    subjects = []
    for _, of in sorted(keys.items()):
        subjects.append(Subject(home, of[0].name))
        for volume in of:
            getattr(subjects[-1], volume.role or "image").append(volume.path)
    apart = len({v.path.parent for v in volumes}) > 1
    return (
        subjects,
        "images and masks in folders of their own" if apart else "files named by subject",
    )


def _belong_together(home: tuple[str, ...], volumes: list[_Volume], usual: set[str]) -> bool:
    """Whether the volumes of a folder are one subject's, whatever they are called."""
    images = [v for v in volumes if v.role in ("image", "")]
    masks = [v for v in volumes if v.role == "mask"]
    if sum(v.role == "image" and not v.key for v in volumes) == 1:  # such as ct.nii.gz
        return True
    if {v.key for v in masks} & {v.key for v in images}:
        return False
    if len(images) == 1 and (masks or home):
        above = images[0].path.parent
        return images[0].key in home[-1:] or all(
            v.key in usual or above in v.path.parent.parents for v in masks
        )
    parts = all(image.key.startswith(mask.key) for mask in masks for image in images)
    return bool(home and masks and images and parts)


def _together(home: tuple[str, ...], name: str, volumes: list[_Volume]) -> Subject:
    """One subject of all volumes; beside an image named so, nameless ones may be its masks."""
    subject = Subject(home, name)
    roles = {v.role for v in volumes}
    nameless = "image" if "image" not in roles else "" if "mask" in roles else "mask"
    for volume in volumes:
        if role := volume.role or nameless:
            getattr(subject, role).append(volume.path)
    return subject
