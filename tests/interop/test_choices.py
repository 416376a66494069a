"""What whoever imports a checkpoint decides: which of two sets of weights, and a size where nothing says one."""

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
import yaml

from tokenfield.errors import UserError
from tokenfield.interop.checkpoints import import_checkpoint
from tokenfield.models import pretrained

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def averaged(tmp_path):
    """Writes a checkpoint whose moving average is half of the weights; or the average that is given."""

    def write(average=None):
        content = torch.load(GOLDEN / "ipc_dev.pt", weights_only=True)
        state = content["state_dict"]
        halves = {name: t / 2 if name.endswith("weight") else t for name, t in state.items()}
        torch.save(content | {"state_dict_ema": halves if average is None else average(state)}, tmp_path / "both.pt")
        torch.save(content | {"state_dict": halves}, tmp_path / "average.pt")
        for name in ("both", "average"):
            shutil.copy(GOLDEN / "ipc_dev.yaml", tmp_path / f"{name}.yaml")
        return tmp_path / "both.pt"

    return write


@pytest.mark.parametrize(
    ("weights", "message", "expected"),
    [
        ("model", "taken were the trained weights themselves, and --weights ema takes", GOLDEN / "ipc_dev.pt"),
        ("ema", "taken were their moving average, and --weights model takes", "average.pt"),
    ],
)
def test_of_two_sets_of_weights_one_is_used_and_named(averaged, weights, message, expected):
    checkpoint = averaged()
    with pytest.warns(UserWarning, match=message):
        model = import_checkpoint(checkpoint, weights=weights)
    assert pretrained.model_hash(model) == pretrained.model_hash(import_checkpoint(checkpoint.parent / expected))


@pytest.mark.parametrize("average", [dict, lambda state: None, lambda state: state])
def test_no_message_about_an_average_that_is_none_or_the_same(averaged, average):
    checkpoint = averaged(average)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import_checkpoint(checkpoint)


@pytest.mark.parametrize("name", ["ipc_dev", "yinboc_transinr_dev", "anr_dev"])
def test_a_missing_average_is_an_error(name):
    with pytest.raises(UserError, match="no moving average of the weights in it; --weights model"):
        import_checkpoint(GOLDEN / f"{name}.pt", weights="ema")


def test_an_average_of_other_tensors_is_no_model(averaged):
    checkpoint = averaged(lambda state: {"extra": torch.ones(1)})
    with pytest.warns(UserWarning, match="differs"), pytest.raises(UserError, match="holds unknown extra"):
        import_checkpoint(checkpoint, weights="ema")


def test_a_size_that_nothing_says_comes_from_an_option_or_a_stated_assumption():
    with pytest.warns(UserWarning, match="178 x 178 is assumed, and --size HEIGHT WIDTH"):
        assert import_checkpoint(GOLDEN / "learned_init_dev.pt").input_size == (178, 178)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert import_checkpoint(GOLDEN / "learned_init_dev.pt", size=(24, 32)).input_size == (24, 32)


def test_a_size_that_the_files_say_stays(tmp_path):
    shutil.copy(GOLDEN / "learned_init_dev.pt", tmp_path / "x.pt")
    config = yaml.safe_load((GOLDEN / "learned_init_dev.yaml").read_text())
    config["dataset"] = {"transforms": {"type": "imagenette178x178"}}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(config))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert import_checkpoint(tmp_path / "x.pt", size=(178, 178)).input_size == (178, 178)
        assert import_checkpoint(GOLDEN / "ipc_dev.pt", size=(34, 34)).input_size == (34, 34)
    for checkpoint, size in ((tmp_path / "x.pt", r"\(178, 178\)"), (GOLDEN / "ipc_dev.pt", r"\(34, 34\)")):
        with pytest.raises(UserError, match=f"--size 32 32 is not .*, {size}; leave --size out"):
            import_checkpoint(checkpoint, size=(32, 32))
    with pytest.raises(UserError, match="a height and a width from 1"):
        import_checkpoint(GOLDEN / "learned_init_dev.pt", size=(0, 32))


def test_a_folder_of_an_autoencoder_has_the_same_choices(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}))
    (tmp_path / "size.yaml").write_text("size: [12, 8]")
    with pytest.raises(UserError, match=r"--size 8 8 is not .*, \(12, 8\)"):
        import_checkpoint(tmp_path, tmp_path / "size.yaml", size=(8, 8))
    with pytest.warns(UserWarning, match="256 x 256 is assumed"), pytest.raises(UserError, match="UNet2DModel"):
        import_checkpoint(tmp_path)
