// Words for positions: where a trace's maker noted the tokens, an axis of positions is labelled with them.

import type { Meta } from './tensorData';

let pieces = $state.raw<readonly string[] | null>(null);

/** Take over the tokens of the trace that is open, as texts; null: it has none. */
export function setTokens(found: readonly string[] | null): void {
  pieces = found;
}

/** Return the tokens along an axis, or undefined where it is not one of positions. */
export function tokensOf(meta: Meta, axis: number | null): readonly string[] | undefined {
  if (axis === null || !pieces) return undefined;
  const one = meta.axes[axis];
  const isPositions = one?.letter === 'T' || one?.letter === 'S';
  return isPositions && one.size === pieces.length ? pieces : undefined;
}
