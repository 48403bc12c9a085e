// What the tabs Layers, Why and What if share: the position they look at, and how tokens and parts are called.

import { linked, whole } from '../../state/location.svelte';
import { visible } from '../../figures/pattern';

export const look = linked({
  /** The position that is looked at; -1: the last. */
  at: whole(-1, -1),
});

/** Return the position to look at in a text of so many tokens. */
export function positionIn(tokens: number): number {
  return look.at < 0 || look.at >= tokens ? tokens - 1 : look.at;
}

/** A token as a label: in quotes, so that one sees where it begins and ends. */
export function quoted(piece: string): string {
  return `“${visible(piece)}”`;
}

/** A probability as people say it; small ones keep two digits. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return 'not computed';
  if (!Number.isFinite(share)) return String(share);
  const value = 100 * share;
  if (value === 0) return '0 %';
  if (value >= 99.95) return value === 100 ? '100 %' : '> 99.9 %';
  if (value < 0.01) return `${value.toExponential(1)} %`;
  return `${value >= 10 ? value.toFixed(1) : value.toPrecision(2)} %`;
}
