"""Fitting the tables of labels: how often they are, and how often beside each other, in training pictures."""

import numpy as np
from numpy.typing import NDArray

from tokenfield.fields.codec.contexts import LATTICES, Order
from tokenfield.fields.codec.tables import LOG, SCALE, SHARES, Floats, Ints, Labels

PRIOR = 2.0
"""Couples that a table begins with, as many as by chance."""


def fit_labels(labels: Ints, tokens: NDArray[np.float32]) -> Labels:
    """Tables for labels (N, rows, columns) of N training pictures and their tokens (..., D), the label first.

    Shares are those under which the labels of every fifth picture are most probable, by tables of the others.
    """
    kinds, fifth = int(labels.max()) + 1, np.arange(len(labels)) % 5 == 4
    share = _shares(*_tables(labels[~fifth], kinds), labels[fifth])
    flat, of = np.abs(tokens.reshape(-1, tokens.shape[-1])).astype(np.float64), labels.ravel()
    spread = np.stack([flat[of == k].mean(0) if (of == k).any() else flat.mean(0) for k in range(kinds)])
    return Labels(*_tables(labels, kinds), share, np.minimum(np.round(spread * 255 * SCALE), 65535).astype(np.uint16))


def _tables(labels: Ints, kinds: int) -> tuple[NDArray[np.int16], NDArray[np.int8]]:
    often = np.bincount(labels.ravel(), minlength=kinds) + 1.0
    chance = often / often.sum()
    pairs = [_ratio([(labels[:, :, :-1], labels[:, :, 1:])], chance),
             _ratio([(labels[:, :-1], labels[:, 1:])], chance),
             _ratio([(labels[:, :-1, :-1], labels[:, 1:, 1:]), (labels[:, :-1, 1:], labels[:, 1:, :-1])], chance)]
    return np.round(LOG * np.log2(chance * 4096)).astype(np.int16), np.stack(pairs)


def _ratio(couples: list[tuple[Ints, Ints]], chance: Floats) -> NDArray[np.int8]:
    """How much more often than by chance labels are neighbours, both ways round; rare couples count as chance."""
    kinds = len(chance)
    counts = np.zeros((kinds, kinds))
    for one, other in couples:
        counts += np.bincount((one * kinds + other).ravel(), minlength=kinds**2).reshape(kinds, kinds)
    counts += counts.T
    expected = counts.sum() * chance[:, None] * chance
    ratio: NDArray[np.int8] = np.round(LOG * np.log2((counts + PRIOR) / (expected + PRIOR))).clip(-127, 127).astype(
        np.int8)
    return ratio


def _shares(base: NDArray[np.int16], pairs: NDArray[np.int8], labels: Ints) -> NDArray[np.int16]:
    """The best share of every pass, of sixteen."""
    order, flat = Order(labels.shape), labels.ravel()
    choices = np.arange(1, 17) * (SHARES // 16)
    bits = np.zeros((LATTICES, len(choices)))
    for number, (cells, offsets) in enumerate(order.lattices()):
        near = [(axis, flat[at], inside) for axis, at, inside in order.around(cells, offsets)]
        for i, choice in enumerate(choices):
            tables = Labels(base, pairs, np.full(LATTICES, choice, np.int16), np.zeros((0, 0), np.uint16))
            found = tables.frequencies(number, len(cells), near)
            own: NDArray[np.int32] = np.take_along_axis(found, flat[cells][:, None], 1)[:, 0]
            bits[number, i] = np.log2(found.sum(1) / own).sum()
    share: NDArray[np.int16] = choices[bits.argmin(1)].astype(np.int16)
    return share
