"""Pairs of a widefield image and STORM of one field: found, read, and looked at once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

from nextaim_kit.data.cohort.loading import load_cohort, no_twin
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.data.images.films import PICTURES, read_film
from nextaim_kit.errors import DataError
from nextaim_kit.files import require_file
from nextaim_kit.studies.microscopy_superres.localizations import (
    TABLES,
    read_localizations,
    render,
)
from nextaim_kit.studies.microscopy_superres.measures import binned
from nextaim_kit.studies.microscopy_superres.ome_tiff import is_predicted, save_predicted

COARSE = "wf|widefield|lr|lowres|input|low"
FINE = "storm|dstorm|palm|smlm|sr|hr|gt|sim|highres|target|locs|localizations|positions"
_FRAMES = re.compile(r"^(.+)_X\d+$")  # a folder of frames; its SIM image lies in <name>R beside it
_WORD = re.compile(rf"(?:^|[_\W\d])({COARSE}|{FINE})(?=[_\W\d]|$)", re.IGNORECASE)
_SIZE = re.compile(r'PhysicalSizeX="([^"]+)"')
_UNIT = re.compile(r'PhysicalSizeXUnit="([^"]+)"')
_IMAGEJ = re.compile(r"^unit=(.+)$", re.MULTILINE)
_NM = {"nm": 1.0, "µm": 1e3, "um": 1e3, "μm": 1e3, "micron": 1e3, "microns": 1e3,
       "\\u00b5m": 1e3, "mm": 1e6, "pm": 1e-3, "å": 0.1}  # fmt: skip
_PLAUSIBLE = (0.5, 2000.0)  # nm
_FULL = 0.5  # share of an image at its largest value: nothing is left of it
_CLIPPED = 0.01
_SHARED = 9.0  # standard deviations of a peak: strangers reach 7, repeated exposures 10 and more
_KNOWN_BY = 256  # pixels of the middle of an image by which it is known again
_MOST = 100  # images among which cuts of one picture are looked for
_RENDERED = 4  # how much finer than the camera a table of localizations is drawn


@dataclass(frozen=True)
class Pair:
    """Two images of one field.

    Attributes
    ----------
    subject : str
    widefield : array of shape (rows, columns), float32
        As stored.
    storm : array of shape (scale * rows, scale * columns), float32
        0 to 1: its gray levels over 255; where it has more than 8 bits, or is drawn from
        localizations, over its 99.95th percentile, and said.
    scale : int
    pixel_nm : float
        Edge of a widefield pixel; NaN where it is not known.
    said : tuple of str
        What is strange about it.
    """

    subject: str
    widefield: NDArray[np.float32]
    storm: NDArray[np.float32]
    scale: int
    pixel_nm: float = float("nan")
    said: tuple[str, ...] = ()

    @property
    def storm_nm(self) -> float:
        """Edge of a STORM pixel in nm; NaN where it is not known."""
        return self.pixel_nm / self.scale

    def save_predicted(self, image: NDArray, path: Path, told: Mapping[str, str]) -> Path:
        """Write what was predicted of this pair as `ome_tiff.save_predicted` does."""
        told = {**told, "widefield": self.subject}
        return save_predicted(image, path, self.storm_nm, told=told)


@dataclass(frozen=True)
class Pairs:
    """A cohort of pairs.

    Attributes
    ----------
    table : DataFrame
        One row for each pair: ``subject``, ``site``, ``field`` (pairs that share something seen
        have one name here), ``widefield``, ``storm`` (paths), ``truth`` (path or empty), ``scale``,
        ``pixel_nm``, ``rows``, ``columns``.
    left_out, doubts : DataFrame
        ``subject``, ``problem``.
    synthetic : bool
    pixel_nm : float or None
        What was given where files do not say it.
    seen, digests : mapping
        By subject, what tells a field again: the middle of its widefield image, and names for the
        content of both.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    doubts: pd.DataFrame
    synthetic: bool = False
    pixel_nm: float | None = None
    seen: Mapping[str, NDArray] = field(default_factory=dict, repr=False)
    digests: Mapping[str, list[str]] = field(default_factory=dict, repr=False)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return (self.read(row) for row in self.table.to_dict("records"))

    def read(self, row: Mapping[str, Any]) -> Pair:
        """The pair of a row of `table`."""
        return read_pair(row, self.pixel_nm)

    def only(self, subjects: Iterable[str], problem: str = "") -> Pairs:
        """These pairs; where `problem` says why, the others are left out by name."""
        kept = self.table["subject"].isin(set(subjects))
        named = self.table.loc[~kept, ["subject"]].assign(problem=problem)
        left = pd.concat([self.left_out, named], ignore_index=True) if problem else self.left_out
        return replace(self, table=self.table[kept].reset_index(drop=True), left_out=left)


def load_pairs(
    cohort: str,
    *,
    twin: Callable[[], pd.DataFrame] = no_twin,
    pixel_nm: float | None = None,
    workers: int | None = None,
) -> Pairs:
    """Load a cohort of pairs, and look at every image once.

    Parameters
    ----------
    cohort : str
        ``synthetic``; a ``cohort.csv`` with the columns ``subject``, ``widefield``, ``storm`` (a
        picture or a table of localizations) and perhaps ``pixel_nm``; a folder with one, or with
        files whose names say what they are, such as ``a_wf.tif`` and ``a_storm.tif``; or a data
        set's name. A widefield image may be a folder of frames: their mean is taken.
    twin : callable, optional
        Makes the synthetic twin.
    pixel_nm : float, optional
        Edge of a widefield pixel in nm, where the files do not say it.
    workers : int, optional
        As for `each`.

    Raises
    ------
    RequestError
        If the spec stands for nothing.
    DataError
        If a table cannot be read, or no pair can be used.
    """
    source = find_source(cohort)
    if source.synthetic:
        table, left = load_cohort(source, twin=twin, columns=("widefield", "storm")), []
    elif source.path.is_file() or (source.path / "cohort.csv").is_file():
        table = load_cohort(source, columns=("widefield", "storm"))
        left = list(table.attrs["problems"])
        table = table[~table["subject"].isin({row["subject"] for row in left})]
    else:
        table, left = pairs_in(source.path)
    table = table.assign(**{c: table.get(c, "") for c in ("truth", "pixel_nm")})
    done = each(
        table.reset_index(drop=True), look, workers=workers, progress="pairs", given=pixel_nm
    )
    left_out = pd.concat([pd.DataFrame(left), done.failures], ignore_index=True)
    left_out = left_out.reindex(columns=["subject", "problem"])
    if not done.results:
        raise _nothing(source.name, left_out)
    rows = done.rows[["subject", "site", "widefield", "storm", "truth"]].reset_index(drop=True)
    seen = dict(zip(rows["subject"], (r.pop("seen") for r in done.results), strict=True))
    said = [
        (s, "; ".join(r.pop("said"))) for s, r in zip(rows["subject"], done.results, strict=True)
    ]
    found = pd.concat([rows, pd.DataFrame(done.results)], axis=1)
    digests = dict(zip(found["subject"], found.pop("digests"), strict=True))
    same = {} if source.synthetic else shared(seen, digests)
    found["field"] = [same.get(s, s) for s in found["subject"]]
    said += [(s, f"shows a part of the field of {same[s]}") for s in same if same[s] != s]
    if len(seen) > _MOST and not source.synthetic:
        said.append((source.name, "so many pairs that cuts of one picture are not looked for"))
    doubts = pd.DataFrame([one for one in said if one[1]], columns=["subject", "problem"])
    return Pairs(found, left_out, doubts, source.synthetic, pixel_nm, seen, digests)


def never_seen(external: Pairs, first: Pairs) -> Pairs:
    """An external cohort without what shows a field of the first one, told by content.

    Raises
    ------
    DataError
        If none is left.
    """
    both = {f"1 {s}": image for s, image in first.seen.items()}
    both |= {f"2 {s}": image for s, image in external.seen.items()}
    digests = {f"{k} {s}": d for k, p in ((1, first), (2, external)) for s, d in p.digests.items()}
    same = shared(both, digests)
    known = {same.get(f"1 {s}", f"1 {s}") for s in first.table["subject"]}
    new = [s for s in external.table["subject"] if same.get(f"2 {s}", f"2 {s}") not in known]
    kept = external.only(new, "it shows a field of the first cohort")
    if kept.table.empty:
        raise _nothing("the external cohort", kept.left_out)
    return kept


def pairs_in(folder: Path) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Pairs of a folder and its sub-folders, by the words in the names of their files.

    A widefield image whose name goes on, such as ``a_wf_crop``, belongs to ``a_storm`` where there
    is no ``a_storm_crop``. Raw frames of structured illumination in ``a_X2`` belong to the one
    picture in ``aR``. Files that find no partner are named.
    """
    ends = (*PICTURES, *TABLES)
    files = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in ends and p.is_file()]
    kinds: dict[bool, dict[str, Path]] = {True: {}, False: {}}
    rows, left = _structured(folder)
    frames = {Path(path) for row in rows for path in (row["widefield"], row["storm"])}
    frames |= {folder / row["subject"] for row in left}
    files = [p for p in files if not frames & {p, *p.parents}]
    for path in files:
        parts = path.relative_to(folder).with_suffix("").as_posix()
        words = list(_WORD.finditer(parts))
        if not words:
            left.append({"subject": path.name, "problem": "its name does not say what it is"})
            continue
        word = words[-1]
        key = (parts[: word.start()] + parts[word.end() :]).strip("_-/ .") or folder.name
        kinds[word[1].lower() in COARSE.split("|")].setdefault(key, path)
    used = set()
    for key, path in kinds[True].items():
        near = [k for k in kinds[False] if key == k or re.match(re.escape(k) + r"[_\W]", key)]
        if not near:
            left.append({"subject": path.name, "problem": "no STORM image of that name"})
            continue
        partner = kinds[False][max(near, key=len)]
        used.add(partner)
        rows.append({"subject": key, "site": "unknown", "widefield": str(path),
                     "storm": str(partner)})  # fmt: skip
    alone = [p for p in kinds[False].values() if p not in used]
    left += [{"subject": p.name, "problem": "no widefield image of that name"} for p in alone]
    if not rows:
        raise _nothing(folder.name, pd.DataFrame(left, columns=["subject", "problem"]))
    return pd.DataFrame(rows), left


def _structured(folder: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Folders of frames with the folder of the picture made of them, and those without one."""
    rows, left = [], []
    for frames in sorted(p for p in (folder, *folder.rglob("*")) if p.is_dir()):
        found = _FRAMES.match(frames.name)
        beside = frames.with_name(f"{found[1]}R") if found else frames
        if not found or not beside.is_dir():
            continue
        made = [p for p in sorted(beside.iterdir()) if p.suffix.lower() in PICTURES]
        name = frames.relative_to(folder).as_posix()
        if len(made) == 1:
            rows.append({"subject": name.removesuffix(frames.name) + found[1], "site": "unknown",
                         "widefield": str(frames), "storm": str(made[0])})  # fmt: skip
        else:
            left.append({"subject": name, "problem": f"{beside.name} holds {len(made)} pictures, "
                         "one was expected: write a cohort.csv"})  # fmt: skip
    return rows, left


def look(row: Mapping[str, Any], given: float | None) -> dict[str, Any]:
    """What is seen of a pair: sizes, scale, what is strange, and what tells its field again."""
    pair = read_pair(row, given)
    digest = [hashlib.sha256(repr(i.shape).encode() + i.tobytes()).hexdigest()
              for i in (pair.widefield, pair.storm)]  # fmt: skip
    return {
        "scale": pair.scale, "pixel_nm": pair.pixel_nm, "rows": pair.widefield.shape[0],
        "columns": pair.widefield.shape[1], "said": list(pair.said), "digests": digest,
        "seen": _middle(pair.widefield),
    }  # fmt: skip


def _middle(image: NDArray) -> NDArray[np.float16]:
    """The middle of an image without what is coarse: enough to know it again."""
    r, c = (max(0, (n - _KNOWN_BY) // 2) for n in image.shape)
    part = image[r : r + _KNOWN_BY, c : c + _KNOWN_BY].astype(float)
    fine = part - ndimage.gaussian_filter(part, 2.0)
    return (fine / (fine.std() or 1)).astype(np.float16)


def read_pair(row: Mapping[str, Any], given: float | None = None) -> Pair:
    """Read a pair.

    Parameters
    ----------
    row : mapping
        ``subject``, ``widefield``, ``storm``, and ``pixel_nm`` where a table says it.
    given : float, optional
        Edge of a widefield pixel in nm, where the row and the files do not say it.

    Raises
    ------
    DataError
        If an image cannot be read or is constant, saturated, in color or a stack, if the two have
        another form or are swapped, or if a table of localizations lies in pixels of unknown size.
    """
    coarse, pixel, said = _read_plane(Path(row["widefield"]))
    told = row.get("pixel_nm")
    pixel = float(told) if told and told == told else pixel if pixel == pixel else given or pixel
    path = Path(row["storm"])
    if path.suffix.lower() in TABLES:
        if pixel != pixel:
            raise DataError(
                f"{path.name} can be drawn only beside a widefield pixel of known size",
                mend="give pixel_nm",
            )
        table = read_localizations(path, pixel)
        shape = (coarse.shape[0] * _RENDERED, coarse.shape[1] * _RENDERED)
        xy, nm = table[["x", "y"]].to_numpy(), pixel / _RENDERED
        fine, storm_nm = render(xy, table["precision"].to_numpy(), shape, nm), nm
        said += [*table.attrs["said"], f"{len(xy)} localizations, drawn at {nm:g} nm"]
    else:
        fine, storm_nm, more = _read_plane(path)
        said += more
    if pixel != pixel and storm_nm == storm_nm:
        pixel = storm_nm * fine.shape[1] / coarse.shape[1]
    if pixel != pixel:
        said.append("the size of its pixels is not known: resolutions in pixels")
    fine, scale, more = _fitted(coarse, fine)
    top = 255.0
    if path.suffix.lower() in TABLES or not _bytes(path):
        top = float(np.percentile(fine, 99.95) or fine.max() or 1)
        said.append(f"{path.name}: gray levels over {top:.4g}, brighter ones cut off")
    fine = (fine / top).astype(np.float32)
    _check_order(coarse, fine, scale)
    return Pair(str(row["subject"]), coarse, np.clip(fine, 0, 1), scale, pixel, (*said, *more))


def pixel_of(path: str | Path) -> float:
    """Edge of a pixel in nm as OME or ImageJ wrote it, or a TIFF's pixels per cm; NaN without.

    Dots per inch, which programs make up, are not looked at, nor is what no microscope has.
    """
    try:
        with Image.open(path) as picture:
            tags = dict(getattr(picture, "tag_v2", {}))
    except OSError:
        return float("nan")
    text, density = str(tags.get(270, "")), float(tags.get(282) or 0)
    text = text.encode("latin-1", "replace").decode("utf-8", "replace")  # as OME is written
    size, unit = _SIZE.search(text), _UNIT.search(text)
    if size:
        found = float(size[1]) * _NM.get((unit[1] if unit else "µm").lower(), np.nan)
    elif text.startswith("ImageJ") and density and (word := _IMAGEJ.search(text)):
        found = _NM.get(word[1].strip().lower(), np.nan) / density
    elif tags.get(296) == 3 and density:
        found = 1e7 / density
    else:
        return float("nan")
    return found if _PLAUSIBLE[0] <= found <= _PLAUSIBLE[1] else float("nan")


def shared(
    seen: Mapping[str, NDArray], digests: Mapping[str, list[str]] | None = None
) -> dict[str, str]:
    """Names of those images that show a part of one field, each with the first one's name.

    Two images share a field if one of their pictures is the same, or if a shift makes their fine
    details agree, as of two cuts of one picture, or of two exposures. Of more than 100 images only
    the same pictures are told.
    """
    names = sorted(seen)
    edge = fft.next_fast_len(max((max(i.shape) for i in seen.values()), default=1) * 3 // 2)
    cuts = len(names) <= _MOST
    spectra = [fft.rfft2(seen[n].astype(float), (edge, edge)) for n in names if cuts]
    parent = {n: n for n in names}
    for k, one in enumerate(names):
        for j in range(k):
            other = names[j]
            same = digests is not None and bool(set(digests[one]) & set(digests[other]))
            if cuts and not same:
                cross = spectra[k] * spectra[j].conj()
                peaks = fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), (edge, edge))
                same = bool(peaks.max() > _SHARED * peaks.std())
            if same:
                root = parent[other]
                parent = {n: root if p == parent[one] else p for n, p in parent.items()}
    count = pd.Series(parent).value_counts()
    return {n: p for n, p in parent.items() if count[p] > 1}


def _read_plane(path: Path) -> tuple[NDArray[np.float32], float, list[str]]:
    if path.is_dir():
        frames = [
            read_film(p).shown for p in sorted(path.iterdir()) if p.suffix.lower() in PICTURES
        ]
        if not frames or len({f.shape for f in frames}) > 1:
            raise DataError(f"{path.name} holds no frames of one size")
        size = pixel_of(next(p for p in sorted(path.iterdir()) if p.suffix.lower() in PICTURES))
        return np.mean(frames, 0), size, [f"{path.name}: mean of {len(frames)} frames"]
    require_file(path)
    if is_predicted(path):
        raise DataError(
            f"{path.name} is a network's prediction, not a measurement",
            expected="an image of a microscope", found="predicted: true in its OME metadata",
        )  # fmt: skip
    pixels, said = read_film(path).shown, []
    top = float(pixels.max())
    full = float((pixels == top).mean())
    if full > _FULL:
        raise DataError(
            f"{path.name} is saturated",
            expected="gray levels", found=f"{full:.0%} of its pixels at its largest value",
            mend="export it without stretching its contrast",
        )  # fmt: skip
    if full > _CLIPPED:
        said.append(f"{path.name}: {full:.1%} of its pixels are at its largest value")
    if 255 < top <= 4095 and top == np.rint(top):
        said.append(f"{path.name}: values up to {top:.0f} in 16 bits: a camera of 12 bits or less")
    return pixels, pixel_of(path), said


def _bytes(path: Path) -> bool:
    with Image.open(path) as picture:
        return picture.mode in ("L", "P", "RGB", "RGBA", "LA")


def _fitted(coarse: NDArray, fine: NDArray) -> tuple[NDArray, int, list[str]]:
    """STORM at a whole multiple of the widefield image's size."""
    rows, columns = (f / c for f, c in zip(fine.shape, coarse.shape, strict=True))
    if rows < 0.99 and columns < 0.99:
        raise DataError(
            "the STORM image has fewer pixels than the widefield image",
            expected="STORM as fine or finer", found=f"{rows:.2f} times as fine",
            mend="are the two files swapped?",
        )  # fmt: skip
    if abs(rows - columns) > 0.02 * max(rows, columns):
        raise DataError(
            "the two images of the pair have another form: their fields are unequal",
            expected="one scale", found=f"{rows:.3f} times in rows, {columns:.3f} in columns",
            mend="cut them to one field",
        )  # fmt: skip
    scale = max(1, round((rows + columns) / 2))
    shape = tuple(n * scale for n in coarse.shape)
    if shape == fine.shape:
        return fine, scale, []
    factors = [n / m for n, m in zip(shape, fine.shape, strict=True)]
    moved = ndimage.zoom(fine.astype(float), factors, order=1, grid_mode=True, mode="nearest")
    return moved, scale, [f"STORM is {columns:.3f} times as fine: resampled to {scale} times"]


def _check_order(coarse: NDArray, fine: NDArray, scale: int) -> None:
    """Refuse a widefield image that is sharper than STORM, in the same pixels."""
    wide, sharp = (_sharpness(image) for image in (coarse, binned(fine, scale)))
    if wide > 1.3 * sharp:
        raise DataError(
            "the widefield image is sharper than the STORM image",
            expected="STORM sharper",
            found=f"half of its contrast beyond {wide:.2f} cycles per pixel, STORM {sharp:.2f}",
            mend="are the two files swapped?",
        )


def _sharpness(image: NDArray) -> float:
    """Frequency below which half of an image's amplitude lies, in cycles per pixel.

    The outer half of the spectrum, where noise rules, does not count.
    """
    amplitude = np.abs(fft.rfft2(image - image.mean()))
    f = np.hypot(fft.fftfreq(image.shape[0])[:, None], fft.rfftfreq(image.shape[1]))
    ring = np.bincount((f * 200).astype(int).ravel(), (amplitude**2).ravel())[:50]
    total = ring.cumsum()
    return float((np.searchsorted(total, total[-1] / 2) + 1) / 200)


def _nothing(name: str, left: pd.DataFrame) -> DataError:
    first = [f"{row.subject}: {row.problem}" for row in left.head(3).itertuples()]
    return DataError(
        f"{name} holds no pair that can be used",
        expected="files such as a_wf.tif and a_storm.tif, or a cohort.csv",
        found="; ".join(first) or "no picture",
        mend="write a cohort.csv with the columns subject, widefield, storm",
    )
