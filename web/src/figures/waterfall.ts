// A sum and its terms, grouped: what a waterfall draws.

export interface SumTerm {
  readonly key: string;
  readonly name: string;
  readonly value: number;
  /** Whether there is more to see of it. */
  readonly canOpen?: boolean;
}

export interface SumGroup {
  readonly key: string;
  readonly name: string;
  readonly terms: readonly SumTerm[];
}

export interface SumLine {
  readonly key: string;
  readonly name: string;
  readonly value: number;
  /** The sum before and after it; both 0 and the value where lines are not in the order of the sum. */
  readonly from: number;
  readonly to: number;
  readonly isGroup: boolean;
  readonly canOpen: boolean;
  readonly level: number;
}

export function totalOf(group: SumGroup): number {
  return group.terms.reduce((sum, { value }) => sum + value, 0);
}

/** Return the lines to draw: groups in the order of the sum, those that are open with their terms. */
export function lines(groups: readonly SumGroup[], open: ReadonlySet<string>): SumLine[] {
  const made: SumLine[] = [];
  let sum = 0;
  for (const group of groups) {
    const from = sum;
    const terms: SumLine[] = [];
    for (const { key, name, value, canOpen } of group.terms) {
      terms.push({ key, name, value, from: sum, to: sum + value, isGroup: false, canOpen: canOpen ?? false, level: 1 });
      sum += value;
    }
    made.push({ key: group.key, name: group.name, value: totalOf(group), from, to: sum, isGroup: true, canOpen: group.terms.length > 0, level: 0 });
    if (open.has(group.key)) made.push(...terms);
  }
  return made;
}

/** Return every term by itself, the largest first, each from zero. */
export function bySize(groups: readonly SumGroup[]): SumLine[] {
  return groups
    .flatMap(({ terms }) => terms)
    .map(({ key, name, value, canOpen }) => ({ key, name, value, from: 0, to: value, isGroup: false, canOpen: canOpen ?? false, level: 0 }))
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
}

/** Return the range of all the sums on the way, zero included, whatever is open: the scale does not jump. */
export function reach(groups: readonly SumGroup[], isBySize: boolean): [number, number] {
  let [low, high, sum] = [0, 0, 0];
  for (const { value } of groups.flatMap(({ terms }) => terms)) {
    sum = isBySize ? value : sum + value;
    low = Math.min(low, sum);
    high = Math.max(high, sum);
  }
  return low === high ? [0, 1] : [low, high];
}
