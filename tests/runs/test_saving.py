"""A notebook that is opened, and a start page that is run, are saved as they were."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest
from jupyter_server.services.contents.filemanager import FileContentsManager

from nextaim_kit import catalog
from nextaim_kit.runs import saving

SHOWN = {"output_type": "stream", "name": "stdout", "text": ["3"]}


@pytest.fixture
def saved(tmp_path):
    """A notebook's file before and after JupyterLab opened, ran and saved it."""
    manager = FileContentsManager(root_dir=str(tmp_path))
    saving._load_jupyter_server_extension(SimpleNamespace(contents_manager=manager))

    def save(name, kernel="python3"):
        file = tmp_path / name.rpartition("/")[2]
        shutil.copy(catalog.notebooks_folder() / name, file)
        before = file.read_text(encoding="utf-8")
        model = manager.get(file.name)
        model["content"]["metadata"]["language_info"] = {"name": "python", "version": "3.11.7"}
        model["content"]["metadata"]["kernelspec"] |= {"name": kernel, "display_name": "Mine"}
        code = next(c for c in model["content"]["cells"] if c["cell_type"] == "code")
        code |= {"outputs": [SHOWN], "execution_count": 1}
        manager.save(model, file.name)
        return before, file.read_text(encoding="utf-8")

    return save


@pytest.mark.parametrize("page", ["start_here.ipynb", "inizia_qui.ipynb"])
def test_a_start_page_is_the_same_after_it_was_run(saved, page):
    before, after = saved(page)
    assert after == before


def test_another_notebook_keeps_what_it_showed_and_is_told_no_version_of_python(saved):
    before, after = map(json.loads, saved("lessons/1_image.ipynb"))
    assert after["metadata"] == before["metadata"]
    assert [SHOWN] in [c.get("outputs") for c in after["cells"]]


def test_another_kernel_that_a_reader_chose_is_kept(saved):
    after = json.loads(saved("lessons/1_image.ipynb", kernel="other")[1])
    assert after["metadata"]["kernelspec"]["name"] == "other"


def test_a_notebook_that_is_new_is_saved(tmp_path):
    manager = FileContentsManager(root_dir=str(tmp_path))
    saving._load_jupyter_server_extension(SimpleNamespace(contents_manager=manager))
    assert manager.new(path="mine.ipynb")["name"] == "mine.ipynb"


def test_jupyter_s_server_loads_it(project):
    told = json.loads((project / "nextaim_kit/runs/server.json").read_text())
    assert told["ServerApp"]["jpserver_extensions"] == {saving.__name__: True}
    assert saving._jupyter_server_extension_points() == [{"module": saving.__name__}]
