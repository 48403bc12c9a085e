// Histograms at several steps, as drawn one behind the other: the arithmetic of the ridge picture.

export interface Histogram {
  readonly step: number;
  /** Borders of the bins, ascending: one more than counts. */
  readonly edges: ArrayLike<number>;
  readonly counts: ArrayLike<number>;
}

/** Return the borders of values over all histograms. */
export function valueRange(histograms: readonly Histogram[]): readonly [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const { edges } of histograms) {
    const [first, last] = [edges[0] as number, edges[edges.length - 1] as number];
    if (!Number.isFinite(first) || !Number.isFinite(last)) continue;
    low = Math.min(low, first);
    high = Math.max(high, last);
  }
  if (!(low <= high)) return [-1, 1];
  return low < high ? [low, high] : [low - 0.5, high + 0.5];
}

/** Return how many values stand in all. */
export function total({ counts }: Histogram): number {
  let sum = 0;
  for (let i = 0; i < counts.length; i += 1) sum += counts[i] as number;
  return sum;
}

/** Return the height of each bin: its share of all values, per width, so that bins of unequal width compare. */
export function densities(histogram: Histogram): Float64Array {
  const all = total(histogram);
  return Float64Array.from({ length: histogram.counts.length }, (_, i) => {
    const width = (histogram.edges[i + 1] as number) - (histogram.edges[i] as number);
    return all > 0 && width > 0 ? (histogram.counts[i] as number) / all / width : 0;
  });
}

/** Return each bin's share of all values. */
export function shares(histogram: Histogram): Float64Array {
  const all = total(histogram) || 1;
  return Float64Array.from({ length: histogram.counts.length }, (_, i) => (histogram.counts[i] as number) / all);
}

/** Return the index of the bin a value stands in, or the nearest. */
export function binOf({ edges, counts }: Histogram, value: number): number {
  let i = 0;
  while (i < counts.length - 1 && value >= (edges[i + 1] as number)) i += 1;
  return i;
}

/** Return the median and two quantiles, read from the bins (exact to a bin's width). */
export function quantile(histogram: Histogram, share: number): number {
  const { edges, counts } = histogram;
  const goal = share * total(histogram);
  let sum = 0;
  for (let i = 0; i < counts.length; i += 1) {
    const here = counts[i] as number;
    if (here > 0 && sum + here >= goal) {
      const [low, high] = [edges[i] as number, edges[i + 1] as number];
      return low + ((high - low) * (goal - sum)) / here;
    }
    sum += here;
  }
  return edges[edges.length - 1] as number;
}

/**
 * Return borders at least `width` apart, chosen among the given ones, outward from zero: bins finer than that are added
 * together, so their counts stay exact.
 */
export function coarse(edges: ArrayLike<number>, width: number): number[] {
  const all = Array.from(edges);
  const middle = all.findIndex((edge) => edge > 0);
  const chosen: number[] = [];
  const walk = (from: number, by: 1 | -1): void => {
    let last = by > 0 ? -width / 2 : width / 2;
    for (let i = from; i >= 0 && i < all.length; i += by) {
      const edge = all[i] as number;
      const isEnd = i === (by > 0 ? all.length - 1 : 0);
      if (Math.abs(edge - last) >= width || isEnd) {
        chosen.push(i);
        last = edge;
      }
    }
  };
  const start = middle < 0 ? all.length : middle;
  walk(start, 1);
  walk(start - 1, -1);
  return [...new Set(chosen)].sort((a, b) => a - b);
}

/** Return a histogram with the counts between chosen borders added together. */
export function merged({ step, edges, counts }: Histogram, chosen: readonly number[]): Histogram {
  const sums = chosen.slice(1).map((stop, i) => {
    let sum = 0;
    for (let k = chosen[i] as number; k < stop; k += 1) sum += counts[k] as number;
    return sum;
  });
  return { step, edges: chosen.map((i) => edges[i] as number), counts: sums };
}
