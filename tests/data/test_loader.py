"""Batches: the same whatever the number of workers, processes or restarts."""

import itertools
import threading
import time

import pytest
import torch

from tokenfield.data import DataConfig, Loader, SkippedFiles
from tokenfield.errors import UserError


class Places:
    """A source whose samples say where they belong; some take long, so that threads finish out of order."""

    def __init__(self, fail_at: int | None = None, size: int = 5):
        self.skipped, self.fail_at, self.size = SkippedFiles(), fail_at, size
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.size

    def sample(self, seed: int, step: int, slot: int) -> torch.Tensor:
        self.asked.append(step)
        if step == self.fail_at:
            raise UserError(f"step {step} cannot be made")
        time.sleep(0.002 * (step % 3 == 0))
        return torch.tensor([seed, step, slot]).float().reshape(3, 1, 1)

    def pictures(self):
        yield from ()


def take(loader: Loader, count: int) -> list[tuple[int, torch.Tensor]]:
    iterator = iter(loader)
    batches = list(itertools.islice(iterator, count))
    iterator.close()
    return batches


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_batches_come_in_order_whatever_the_workers(workers):
    for step, (loaded, batch) in enumerate(take(Loader(Places(), batch_size=3, seed=7, workers=workers), 11)):
        assert loaded == step and batch.shape == (3, 3, 1, 1)
        assert batch[:, :, 0, 0].tolist() == [[7, step, slot] for slot in range(3)]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_the_global_batch(world):
    parts = [take(Loader(Places(), batch_size=6, seed=0, rank=rank, world=world), 4) for rank in range(world)]
    whole = take(Loader(Places(), batch_size=6, seed=0), 4)
    for step in range(4):
        assert torch.equal(torch.cat([part[step][1] for part in parts]), whole[step][1])


def test_resuming_continues_the_same_sequence():
    whole = take(Loader(Places(), batch_size=2, seed=3), 9)
    rest = take(Loader(Places(), batch_size=2, seed=3, first_step=4), 5)
    assert [step for step, _ in rest] == [4, 5, 6, 7, 8]
    assert all(torch.equal(one, two) for (_, one), (_, two) in zip(whole[4:], rest, strict=True))


def test_iterating_twice_starts_again():
    loader = Loader(Places(), batch_size=2, seed=3, first_step=2)
    assert [step for step, _ in take(loader, 3)] == [step for step, _ in take(loader, 3)] == [2, 3, 4]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_surfaces_at_its_step(workers):
    iterator = iter(Loader(Places(fail_at=5), batch_size=2, seed=0, workers=workers))
    assert [next(iterator)[0] for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(UserError, match="step 5 cannot be made"):
        next(iterator)


def test_workers_prepare_no_more_than_the_queue_holds():
    source = Places()
    iterator = iter(Loader(source, batch_size=1, seed=0, workers=2))
    next(iterator)
    time.sleep(0.05)
    assert max(source.asked) <= 4
    iterator.close()


def test_threads_end_with_the_iteration():
    take(Loader(Places(), batch_size=2, seed=0, workers=3), 5)
    deadline = time.monotonic() + 5
    while any(thread.name.startswith("loader") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("options, part", [
    ({"batch_size": 0}, "a batch of 0"), ({"batch_size": 5, "world": 2}, "multiple"), ({"rank": 1}, "rank 1"),
    ({"rank": -1}, "rank -1"), ({"seed": -1}, "seed is -1"), ({"seed": 2**64}, "seed is 1844"),
    ({"first_step": -1}, "first_step is -1"), ({"workers": -1}, "workers is -1"), ({"world": 0}, "0 processes"),
])
def test_arguments_that_make_no_sense_give_one_line(options, part):
    with pytest.raises(UserError, match=part):
        Loader(Places(), **{"batch_size": 4, "seed": 0, **options})


def test_an_empty_source_gives_one_line():
    with pytest.raises(UserError, match="no pictures"):
        Loader(Places(size=0), batch_size=1, seed=0)


@pytest.mark.parametrize("crop", ["pyramid", "random_flip", "center"])
def test_real_pictures_are_bit_identical_for_any_workers(crop, tmp_path, write):
    for number in range(7):
        write(tmp_path / "pool" / f"{number}.png", number)
    (tmp_path / "pool" / "broken.png").write_bytes((tmp_path / "pool" / "0.png").read_bytes()[:700])
    config = DataConfig(size=17, crop=crop)
    runs = [take(Loader(DataConfig.open(config, tmp_path / "pool", "train"), batch_size=5, seed=0, workers=workers), 6)
            for workers in (0, 2, 4)]
    for one, two, three in zip(*runs, strict=True):
        assert torch.equal(one[1], two[1]) and torch.equal(one[1], three[1]) and one[1].shape == (5, 3, 17, 17)
    assert 0 <= float(one[1].min()) < float(one[1].max()) <= 1
