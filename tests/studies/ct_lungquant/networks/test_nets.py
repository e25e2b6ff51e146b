"""Networks are MONAI's, without a language model's library that MONAI would import beside them."""

from __future__ import annotations

import subprocess
import sys

import pytest

BUILD = """
import sys
from nextaim_kit.studies.ct_lungquant.networks.nets import segmenter
segmenter(1, "{}")
print("monai" in sys.modules, "transformers" in sys.modules)
import transformers
print(transformers.BertConfig.__name__)
"""


@pytest.mark.parametrize("architecture", ["unet", "dynunet"])
def test_a_network_imports_no_transformers_which_can_be_imported_afterwards(architecture):
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(architecture)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "False", "BertConfig"], done.stderr


def test_transformers_that_are_there_stay():
    code = "import transformers\n" + BUILD.format("unet")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "True", "BertConfig"], done.stderr
