"""Fields are divided without a leak, and networks are kept in files of plain numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.final import Seen
from nextaim_kit.learn.network_file import save_networks as write_networks
from nextaim_kit.studies.microscopy_superres.curriculum import (
    begin,
    divide,
    forget_known,
    learn_in_order,
    stages,
)
from nextaim_kit.studies.microscopy_superres.networks import (
    Generator,
    UNet,
    load_saved,
    save_networks,
)
from nextaim_kit.studies.microscopy_superres.pairs import Pair
from nextaim_kit.studies.microscopy_superres.preparation import Aligned
from nextaim_kit.studies.microscopy_superres.training import Size, predict

COHORT = {"name": "fields", "sha256": None, "synthetic": True}


def names(pairs):
    return [p.subject for p in pairs]


def aligned(lines, fields, sites, edge=24):
    made = [lines(edge, seed=k) for k in range(len(fields))]
    pairs = [Pair(f"p{k}", wide, fine, 4, 100.0) for k, (fine, wide) in enumerate(made)]
    table = pd.DataFrame({"subject": names(pairs), "field": fields, "site": sites, "scale": 4})
    table["moved"] = table.index % 2 == 1
    return Aligned(pairs, table, table.iloc[:0])


def test_whole_fields_are_divided_and_copies_stay_on_one_side(lines):
    fields = ["a", "b", "c", "d", "e", "a", "f", "g", "h", "h", "i", "j"]
    divided, left = divide(aligned(lines, fields, ["x"] * 6 + ["y"] * 6), seed=3)
    assert left.empty
    where = {}
    for one in divided.values():
        for part in ("train", "val", "test"):
            for p in getattr(one, part):
                where.setdefault(fields[int(p.subject[1:])], set()).add(part)
    assert all(len(parts) == 1 for parts in where.values())
    assert sum(len(p) for d in divided.values() for p in (d.train, d.val, d.test)) == 12


def test_a_field_of_two_sets_counts_in_the_first_one_alone(lines):
    divided, left = divide(aligned(lines, list("abcdcfgh"), ["x"] * 4 + ["y"] * 4), seed=0)
    assert left["subject"].tolist() == ["p4"]
    assert "another set" in left["problem"][0]
    assert not any("p4" in names(d.train + d.val + d.test) for d in divided.values())


def test_a_single_field_is_halved_with_a_gap_and_of_its_cuts_one_is_taken(lines):
    divided, left = divide(aligned(lines, ["a", "a", "b"], "unknown", edge=80), seed=0)
    assert sorted(divided) == ["a", "b"]
    assert left["subject"].tolist() == ["p1"]
    one = divided["a"]
    assert one.halved
    assert one.train[0].widefield.shape[1] + one.test[0].widefield.shape[1] <= 80 - 8


def test_what_networks_to_begin_with_have_seen_is_not_tested(lines):
    divided, _ = divide(aligned(lines, list("abcdefghijkl"), ["x"] * 6 + ["y"] * 6), seed=0)
    tested = names(divided["y"].test)
    rest, left = forget_known(divided, Seen.of([*divided["x"].learned_from(), tested[0]]))
    assert left["subject"].tolist() == tested[:1]
    assert names(rest["y"].test) == tested[1:]
    with pytest.raises(DataError, match="all that x has to test on"):
        forget_known(divided, Seen.of(names(divided["x"].test)))


def test_the_right_half_of_a_field_is_tested_again_where_the_left_one_was_learned_from(lines):
    divided, _ = divide(aligned(lines, ["a"], "unknown", edge=80), seed=0)
    _, left = forget_known(divided, Seen.of(divided["a"].learned_from()))
    assert left.empty
    with pytest.raises(DataError, match="all that a has to test on"):
        forget_known(divided, Seen.of(["p0"]))


def test_stages_are_sets_by_name_or_all_at_once(lines):
    divided, _ = divide(aligned(lines, list("abcdefgh"), ["x"] * 4 + ["y"] * 4), seed=0)
    one, both = stages(divided, ["x", "x+y"], 5)
    assert names(both.train) == names(one.train) + names(divided["y"].train)
    assert stages(divided, [], 5)[0].name == "x+y"
    with pytest.raises(RequestError, match="no such set of fields"):
        stages(divided, ["z"], 5)


def test_networks_learn_in_order_and_alone_in_as_many_steps(lines, tmp_path):
    divided, _ = divide(aligned(lines, list("abcdefgh"), ["x"] * 4 + ["y"] * 4), seed=0)
    size = Size(4, 4, 1, 2, edge=32, judge=4, batch=2)
    asked = stages(divided, ["x", "y"], 2)
    (found,) = learn_in_order(asked, size, [5], folder=tmp_path)
    assert found.alone[0] is found.curriculum[0]
    first, second = (f.net.last.weight for f in found.curriculum)
    assert not torch.equal(first, second)
    assert not torch.equal(found.alone[1].net.last.weight, second)


def test_networks_of_a_file_predict_as_those_that_were_saved(tmp_path, lines):
    nets = {"L1": Generator(4, 8, 1, 4, 1), "U-Net": UNet(4, 4).eval()}
    path = tmp_path / "networks.safetensors"
    save_networks(nets, path, cohort=COHORT, fields=["p1", "p2"])
    saved, wide = load_saved(path), lines(24)[1]
    assert saved.seen.among(["p1", "p3"]) == ["p1"]
    for name, net in nets.items():
        np.testing.assert_array_equal(predict(saved.nets[name], wide), predict(net, wide))


def test_files_of_other_networks_are_refused(tmp_path):
    path = tmp_path / "networks.safetensors"
    with pytest.raises(DataError, match="holds no models"):
        load_saved(path)
    write_networks({"L1": Generator(4, 8, 1, 4, 1)}, path, told={"format": "another"})
    with pytest.raises(DataError, match="earlier run of microscopy_superres"):
        load_saved(path)


def test_no_field_that_trained_the_networks_to_begin_with_is_tested_on(lines, tmp_path):
    ready = aligned(lines, list("abcdefg"), ["x"] * 7)
    fresh = begin(ready, seed=0)
    assert (fresh.nets, fresh.seen) == ({}, None)
    one = names(fresh.divided["x"].test)[0]
    net = Generator(4, features=4, blocks=1, growth=2, channels=1)
    path = tmp_path / "networks.safetensors"
    save_networks({"plain": net}, path, cohort=COHORT, fields=[one])
    found = begin(ready, str(path), seed=0)
    assert one not in names(found.divided["x"].test)
    assert one in found.left_out["subject"].tolist()
    assert list(found.nets) == ["plain"]
