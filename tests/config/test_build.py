"""What a node of a configuration becomes is plain Python, at every depth."""

import io
from fractions import Fraction

import pytest
import torch

from fmnist.config.build import build_node, maker
from fmnist.config.groups import split_grouping
from fmnist.errors import RunError
from fmnist.training.checkpoint import AtomicCheckpointIO
from tests.conftest import composed


def test_lists_and_dictionaries_of_a_node_are_plain() -> None:
    node = {"_target_": "builtins.dict", "a": [1, [2]], "b": {"c": [3]}}
    made = build_node(node)
    assert made == {"a": [1, [2]], "b": {"c": [3]}}
    assert [type(made["a"]), type(made["a"][1]), type(made["b"]), type(made["b"]["c"])] == [
        list, list, dict, list,
    ]  # fmt: skip
    given = [4]
    assert maker(node)(d=given)["d"] is given
    assert type(maker(node)()["a"]) is list


def test_the_state_of_an_optimiser_with_a_list_among_its_settings_loads_back() -> None:
    config = composed("optim._target_=torch.optim.NAdam", "~optim.fused", "+optim.betas=[0.8,0.99]")
    optimizer = build_node(split_grouping(config["optim"])[0])([torch.nn.Parameter(torch.ones(2))])
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    assert list(state["param_groups"][0]["betas"]) == [0.8, 0.99]


def test_a_checkpoint_that_cannot_be_loaded_back_is_refused_when_first_written(tmp_path) -> None:
    writer, path = AtomicCheckpointIO(), tmp_path / "folder" / "best.ckpt"
    with pytest.raises(RunError, match=r"holds a fractions\.Fraction that cannot be loaded back"):
        writer.save_checkpoint({"state": Fraction(1, 2)}, path)
    assert not path.parent.exists()
    writer.save_checkpoint({"state": [1, torch.ones(1)]}, path)
    assert torch.load(path, weights_only=True)["state"][0] == 1
