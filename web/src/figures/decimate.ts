// Which points of a long line to draw: in every column of pixels the first, the lowest, the highest and the last, in their
// order. What is drawn then covers the same pixels as all points would, so no peak is ever hidden, at a cost that
// depends on the width of the picture.

/** Return the first index whose x is not below `value` (x ascends). */
export function lowerBound(x: ArrayLike<number>, value: number, from = 0, to = x.length): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((x[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Return the index of the point nearest to `value`, or -1 where there is none. */
export function nearest(x: ArrayLike<number>, value: number): number {
  const after = lowerBound(x, value);
  if (after === 0) return x.length ? 0 : -1;
  if (after === x.length) return after - 1;
  return value - (x[after - 1] as number) <= (x[after] as number) - value ? after - 1 : after;
}

/** Return the index of the last point at or before `value`, or -1. */
export function atOrBefore(x: ArrayLike<number>, value: number): number {
  const at = lowerBound(x, value);
  return at < x.length && x[at] === value ? at : at - 1;
}

/**
 * Return the indices to draw, ascending.
 *
 * `edges` are the x values at the borders of the columns, ascending; points outside them are left out, but for one neighbour
 * on each side, so that lines run on to the border. An index that is not a finite number stands for a gap and is kept.
 */
export function decimate(x: ArrayLike<number>, y: ArrayLike<number>, edges: ArrayLike<number>): Int32Array {
  const columns = edges.length - 1;
  const start = lowerBound(x, edges[0] as number);
  let end = lowerBound(x, edges[columns] as number, start);
  while (end < x.length && x[end] === edges[columns]) end += 1;
  const from = Math.max(0, start - 1);
  const to = Math.min(x.length, end + 1);
  if (to - from <= 4 * columns) return Int32Array.from({ length: to - from }, (_, i) => from + i);
  const kept = new Int32Array(5 * columns + 2);
  let size = 0;
  if (from < start) kept[size++] = from;
  let i = start;
  for (let column = 0; column < columns && i < end; column += 1) {
    const stop = column === columns - 1 ? end : lowerBound(x, edges[column + 1] as number, i, end);
    if (stop === i) continue;
    let low = -1;
    let high = -1;
    let gap = -1;
    for (let k = i; k < stop; k += 1) {
      const value = y[k] as number;
      if (!Number.isFinite(value)) gap = k;
      else {
        if (low < 0 || value < (y[low] as number)) low = k;
        if (high < 0 || value > (y[high] as number)) high = k;
      }
    }
    const chosen = [i, low, high, gap, stop - 1].filter((k) => k >= 0).sort((a, b) => a - b);
    let last = -1;
    for (const k of chosen) {
      if (k !== last) kept[size++] = k;
      last = k;
    }
    i = stop;
  }
  if (end < to) kept[size++] = end;
  return kept.slice(0, size);
}
