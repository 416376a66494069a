"""Stopwatches, by a timer that the test turns on."""

from tokenfield.io.clock import Stopwatch


def test_only_what_is_inside_counts():
    now = [5.0]
    watch = Stopwatch(lambda: now[0], elapsed=1.0)
    now[0] += 7  # not begun yet
    with watch:
        now[0] += 2
        assert watch.seconds == 3
        with watch.paused():
            now[0] += 11
            assert watch.seconds == 3
        now[0] += 4
    now[0] += 13
    assert watch.seconds == 7
    with watch:
        now[0] += 1
    assert watch.seconds == 8
