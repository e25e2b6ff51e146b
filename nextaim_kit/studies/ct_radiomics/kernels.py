"""The loops over a region's voxels, in the Python that `compiled` turns into machine code.

All read the same: `levels`, the region's box with a border of zeros, as one row of bytes or of
words of two bytes; `spans` (start, stop) of the voxels of the region that lie side by side in it;
and `steps`, how far apart two neighbors are in it, above 0. The border stands in for every check
of the edges. `near` is room for a number for each voxel of a span. Results are added to arrays of
zeros that the caller makes.

Sizes are unsigned where they index: signed ones would be looked at for whether they count from the
end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def cooccurrence(levels: Array, spans: Array, steps: Array, counts: Array) -> None:
    """Count pairs; `counts` (directions, levels + 1, levels + 1) has those with the outside too."""
    width = np.uint64(counts.shape[1])
    for k in range(steps.size):
        table = counts[k].reshape(-1)
        step = np.uint64(steps[k])
        for s in range(spans.shape[0]):
            for v in range(np.uint64(spans[s, 0]), np.uint64(spans[s, 1])):
                pair = np.uint64(levels[v]) * width + np.uint64(levels[v + step])
                table[pair] += np.uint32(1)


def run_places(levels: Array, spans: Array, steps: Array, counts: Array) -> None:
    """Count voxels by level and place in their run, from 0; `counts` (directions, levels + 1, n).

    A voxel's place follows from that of the one a step before it: the places of the last `step`
    voxels are kept, and overwritten one by one.
    """
    width = np.uint64(counts.shape[2])
    for k in range(steps.size):
        step = steps[k]
        table = counts[k].reshape(-1)
        places = np.zeros(step, np.uint16)
        for s in range(spans.shape[0]):
            start = spans[s, 0]
            if step == 1:
                at = np.uint64(0)
                for v in range(np.uint64(start), np.uint64(spans[s, 1])):
                    goes_along = np.uint64(levels[v] == levels[v - np.uint64(1)])
                    at = (at + np.uint64(1)) * goes_along
                    table[np.uint64(levels[v]) * width + at] += np.uint32(1)
                continue
            while start < spans[s, 1]:
                slot = start % step
                size = min(spans[s, 1] - start, step - slot)
                here = levels[start : start + size]
                before = levels[start - step : start - step + size]
                place = places[slot : slot + size]
                for i in range(size):
                    goes_on = np.uint16(here[i] == before[i])
                    place[i] = np.uint16(place[i] + np.uint16(1)) * goes_on
                for i in range(size):
                    table[np.uint64(here[i]) * width + np.uint64(place[i])] += np.uint32(1)
                start += size


def dependence(
    levels: Array, spans: Array, steps: Array, near: Array, alpha: Any, counts: Array
) -> None:
    """Count voxels by level and dependent neighbors; `counts` (levels + 1, neighbors + 1)."""
    table = counts.reshape(-1)
    width = np.uint64(counts.shape[1])
    for s in range(spans.shape[0]):
        start, stop = spans[s]
        here = levels[start:stop]
        near[: stop - start] = 0
        for k in range(steps.size):
            for step in (-steps[k], steps[k]):
                there = levels[start + step : stop + step]
                for i in range(stop - start):
                    apart = max(here[i], there[i]) - min(here[i], there[i])
                    near[i] += np.uint16((apart <= alpha) & (there[i] != 0))
        for i in range(stop - start):
            table[np.uint64(here[i]) * width + np.uint64(near[i])] += np.uint32(1)


def tone(levels: Array, spans: Array, steps: Array, near: Array, sums: Array, apart: Array) -> None:
    """Sum differences from the mean of the neighbors in `apart`, by level from 0.

    `sums` (2, levels + 1) has the voxels, and those of them without a neighbor.
    """
    total = np.empty(near.size, np.uint32)
    for s in range(spans.shape[0]):
        start, stop = spans[s]
        here = levels[start:stop]
        near[: stop - start] = 0
        total[: stop - start] = 0
        for k in range(steps.size):
            for step in (-steps[k], steps[k]):
                there = levels[start + step : stop + step]
                for i in range(stop - start):
                    near[i] += np.uint16(there[i] != 0)
                    total[i] += np.uint32(there[i])
        for i in range(stop - start):
            sums[0, here[i]] += 1
            if near[i]:
                mean = np.float64(total[i]) / np.float64(near[i])
                apart[here[i]] += abs(np.float64(here[i]) - mean)
            else:
                sums[1, here[i]] += 1


def zones(
    levels: Array, spans: Array, steps: Array, near: Array, deep: Array, plane: int, links: Array
) -> tuple[Array, Array]:
    """Sizes and levels of all zones, in one pass.

    Each voxel is given a zone's number by its neighbors before it: those of its level, as bits,
    tell in `links` (see `zone_links`) the one or the few that stand for all of them. Where these
    have different numbers, the zones are one from then on: `leader` points to the lower number.
    Numbers of voxels are kept for two planes only. `deep` says which steps lead to the plane
    before; `plane` is the size of a plane.
    """
    numbers = np.zeros(2 * plane, np.int32)
    leader, size = np.zeros(1024, np.int32), np.zeros(1024, np.int32)
    level = np.zeros(1024, levels.dtype)
    back = np.empty(steps.size + 1, np.int64)
    used = 1
    for s in range(spans.shape[0]):
        start, count = spans[s, 0], spans[s, 1] - spans[s, 0]
        first = start % plane
        here_from = first + start // plane % 2 * plane
        there_from = first + (start // plane + 1) % 2 * plane
        if used + count > leader.size:
            more = np.zeros(used // 4 + count, np.int32)  # little: memory is dear
            leader, size = np.concatenate((leader, more)), np.concatenate((size, more))
            level = np.concatenate((level, more.astype(levels.dtype)))
        here = levels[start : start + count]
        near[:count] = 0
        for k in range(steps.size):
            back[k + 1] = there_from + plane - steps[k] if deep[k] else here_from - steps[k]
            there = levels[start - steps[k] : start - steps[k] + count]
            bit = np.uint16(1 << k)
            for i in range(count):
                near[i] |= np.uint16(here[i] == there[i]) * bit
        for i in range(count):
            few = links[near[i]]
            if few == 0:
                number = used
                leader[number] = number
                level[number] = here[i]
                used += 1
            elif few < 16:
                number = numbers[back[few] + i]
            else:
                number = used
                while few:
                    other = numbers[back[few & 15] + i]
                    while leader[other] != other:
                        leader[other] = leader[leader[other]]
                        other = leader[other]
                    if number == used:
                        number = other
                    elif other < number:
                        leader[number] = other
                        number = other
                    else:
                        leader[other] = number
                    few >>= 4
            size[number] += 1
            numbers[here_from + i] = number
    for number in range(used - 1, 0, -1):  # a leader's number is lower
        if leader[number] != number:
            size[leader[number]] += size[number]
            size[number] = 0
    return size[1:used], level[1:used]


def zone_links(touching: Array) -> Array:
    """For each set of neighbors, as bits: one of each group that hangs together by itself.

    `touching[k]` has as bits the neighbors that touch neighbor k. The neighbors' numbers from 1 are
    the digits to base 16 of the result.
    """
    links = np.zeros(1 << touching.size, np.int64)
    for chosen in range(links.size):
        left, shift = chosen, 0
        while left:
            first = 0
            while not left >> first & 1:
                first += 1
            links[chosen] |= (first + 1) << shift
            shift += 4
            group, before = 1 << first, 0
            while group != before:
                before = group
                for k in range(touching.size):
                    if before >> k & 1:
                        group |= touching[k] & left
            left &= ~group
    return links
