"""Films of a folder of one's own: what needs a truth is left out, all else is judged."""

from __future__ import annotations

import pytest

from nextaim_kit.data.cohort.loading import save_cohort
from nextaim_kit.errors import RequestError
from nextaim_kit.learn.study_task import load_task
from nextaim_kit.studies.challenges.explainability import judged, maps, shortcuts
from nextaim_kit.studies.cxr_severity.twin import make_twin


@pytest.fixture(scope="module")
def films():
    return make_twin(24, size=128, cables="none", seed=3)


@pytest.fixture
def saved(films, tmp_path):
    """The films as somebody would have them: files and a table, without the twin's own columns."""

    def save(*columns: str, synthetic: bool = False) -> str:
        own = [name for name in films if not name.startswith("truth")]
        files = {column: films[column] for column in ("image", *columns)}
        save_cohort(films[own], tmp_path, files, synthetic=synthetic)
        return str(tmp_path)

    return save


def test_maps_of_a_folder_are_judged_by_all_that_needs_no_truth(saved, workshop):
    task = load_task("cxr_severity", saved("lungs"), 400, 0)
    assert (task.patients, task.synthetic, task.truth) == (24, False, None)
    names, left = maps.usable(["gradient", "occlusion"], task.modality, known=False)
    shop = workshop(task, 20)
    explained = shop.explained(0)
    drawn = {name: maps.draw(explained, name) for name in names}
    assert judged.against_truth(drawn, explained).empty
    assert set(maps.OF_TRUTH) <= set(left["what"])
    order = judged.faithful(drawn, explained, n_boot=50)
    assert order["value"].notna().all()
    assert set(order["name"]) == set(names)
    nets = {"retrained": [shop.trained(1)], "weights": [shop.fresh(9)]}
    assert judged.sane(drawn, explained, nets, n_boot=50)["value"].notna().all()
    worn = shortcuts.with_shortcut(task, "marker", 400, 0)
    found = shortcuts.signs(shortcuts.trained_models(shop, {"marker": worn}, names, 1))
    assert set(found["sign"]) == {"same place"}


def test_saved_films_of_the_twin_know_what_decides_only_with_their_lesions(saved):
    without = load_task("cxr_severity", saved("lungs", synthetic=True), 24, 3)
    assert without.synthetic
    assert without.truth is None
    known = load_task("cxr_severity", saved("lungs", "lesions", synthetic=True), 24, 3)
    assert known.truth[known.y == 1].any((1, 2)).all()


def test_no_twin_draws_its_shortcut_upon_the_patients_of_a_folder(saved):
    folder = saved("lungs", "lesions", synthetic=True)
    task = load_task("cxr_severity", folder, 400, 0)
    kinds, left = shortcuts.kinds_of(task, ["marker", "own", "site"], folder)
    assert kinds == ["marker", "site"]
    assert left["why"].tolist() == ["drawn by the study's twin alone, and this is another cohort"]
    with pytest.raises(
        RequestError, match=r"(?s)upon other patients.*24 patients, the twin has 40"
    ):
        shortcuts.with_shortcut(task, "own", 40, 0)
