"""Configurations survive JSON, and nothing else is taken for one."""

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

import pytest

from tokenfield.configs import LATER, from_dict, identity
from tokenfield.errors import UserError
from tokenfield.models.lainr import LainrConfig


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class Outer:
    count: int
    size: tuple[int, int] | None = None
    bands: tuple[float, ...] = (128.0, 32.0)
    kind: Literal["a", "b"] = "a"
    flag: bool = False
    name: str = ""
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    "config",
    [Outer(3), Outer(0, (5, 7), (), "b", True, "é", Inner(1e-9, (0.0, 1.0)))],
)
def test_configurations_survive_json(config):
    assert from_dict(Outer, json.loads(json.dumps(asdict(config)))) == config


def test_whole_numbers_become_floats_so_that_equal_configurations_have_equal_json():
    read = from_dict(Outer, {"count": 1, "bands": [128, 32], "inner": {"rate": 1}})
    assert json.dumps(asdict(read)) == json.dumps(asdict(Outer(1, inner=Inner(1.0))))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "not a mapping"),
        ({}, "lacks count"),
        ({"count": 1, "sice": [1, 2]}, "did you mean 'size'?"),
        ({"count": 1, "zzz": 0}, "known are count, size"),
        ({"count": "1"}, "count: '1' is not int"),
        ({"count": True}, "count: True is not int"),
        ({"count": 1.0}, "count: 1.0 is not int"),
        ({"count": 1, "size": [1, 2, 3]}, "size: [1, 2, 3] is none of"),
        ({"count": 1, "bands": ["x"]}, "bands[0]: 'x' is not float"),
        ({"count": 1, "kind": "c"}, "'c' is not typing.Literal['a', 'b']"),
        ({"count": 1, "flag": 1}, "flag: 1 is not bool"),
        ({"count": 1, "inner": {"rat": 1}}, "inner has no field 'rat'; did you mean 'rate'?"),
    ],
    ids=str,
)
def test_anything_else_is_named(data, message):
    with pytest.raises(UserError) as error:
        from_dict(Outer, data)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_fields_that_were_added_later_leave_a_models_identity_alone():
    @dataclass(frozen=True)
    class Old:
        size: int = 3

    @dataclass(frozen=True)
    class New:
        size: int = 3
        extra: float = field(default=0.5, metadata=LATER)

    @dataclass(frozen=True)
    class Around:
        inner: New = field(default_factory=New)

    assert identity(New()) == identity(Old()) == {"size": 3}
    assert identity(New(extra=1.0)) == {"size": 3, "extra": 1.0}
    assert identity(Around()) == {"inner": {"size": 3}}
    assert identity((New(), 4)) == ({"size": 3}, 4)


def test_an_empty_tuple_of_sizes_names_its_field():
    with pytest.raises(UserError, match="sigmas is empty"):
        LainrConfig(sigmas=())
