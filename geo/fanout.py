"""Halvings of halvings as wide nodes: a point finds its tile in two to four steps. Kernels only.

A node spans as many halvings at once as half of its cells are worth: at most two cells a leaf below it.
"""

from __future__ import annotations

import numpy as np

from geo.arrays import Ints
from geo.kernels import allocating, kernel
from geo.tiles import NODE_BITS
from geo.visits import roomy

_BITS_MAX = 6


@allocating
def fanned(quad: Ints, nodes: int, words: Ints, first: int, used: int) -> tuple[Ints, int]:
    """(*words* or a longer array, how many are used) with the nodes written after the leaves.

    quad: i4[nodes, 4], children after their parents; quad[0, 0] is the root. A child: a row of *quad*, or a leaf as in
    `geo.tiles`.
    """
    leaves, height = _counted(quad, nodes)
    todo, count = np.empty((nodes, 2), np.int64), 1
    todo[0, 0], todo[0, 1] = quad[0, 0], first
    if quad[0, 0] < 0:
        words[first], count = quad[0, 0], 0
    done = 0
    while done < count:
        node, place = todo[done]
        bits = 1
        while bits < min(_BITS_MAX, height[node]) and 4 << 2 * bits <= 2 * leaves[node]:
            bits += 1
        words = roomy(words, used + (1 << 2 * bits))
        words[place] = (used - first) << NODE_BITS | bits
        for cell in range(1 << 2 * bits):
            child = _child(quad, node, bits, cell >> bits, cell & ((1 << bits) - 1))
            if child < 0:
                words[used + cell] = child
            else:
                todo[count, 0], todo[count, 1] = child, used + cell
                count += 1
        used += 1 << 2 * bits
        done += 1
    return words, used


@allocating
def _counted(quad: Ints, nodes: int) -> tuple[Ints, Ints]:
    """Leaves below each node, and the most halvings down to one."""
    leaves, height = np.empty(nodes, np.int32), np.empty(nodes, np.int32)
    for node in range(nodes):
        leaves[node], height[node] = 0, 1
    for node in range(nodes - 1, 0, -1):
        for child in quad[node]:
            leaves[node] += leaves[child] if child >= 0 else 1
            if child >= 0:
                height[node] = max(height[node], 1 + height[child])
    return leaves, height


@kernel
def _child(quad: Ints, node: int, bits: int, row: int, column: int) -> int:
    """What lies that many halvings below *node*, or the leaf around it."""
    child = np.int64(node)
    for bit in range(bits - 1, -1, -1):
        if child < 0:
            break
        child = np.int64(quad[child, 2 * (row >> bit & 1) + (column >> bit & 1)])
    return int(child)
