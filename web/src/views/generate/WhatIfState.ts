// What the What if tab keeps in the address.

import { choice, flag, linked, list, text, whole } from '../../state/location.svelte';

export const PATCHED = ['resid_pre', 'attn_out', 'mlp_out', 'z'] as const;
export type Patched = (typeof PATCHED)[number];
export const MEASURES = ['loss', 'answer'] as const;

export const here = linked({
  part: choice(['ablate', 'patch'], 'ablate'),
  /** Parts that are taken away: `2.0`, `mlp 1`, `mlp 2 unit 17`. */
  off: list(text(), [], ';'),
  how: choice(['zero', 'mean'], 'zero'),
  /** Whether every part is measured by itself. */
  scan: flag(),
  measure: choice(MEASURES, 'loss'),
  /** The text whose numbers are carried over from; what is patched. */
  second: text(),
  what: choice(PATCHED, 'resid_pre'),
  /** The position at which heads are carried over; -1: all. */
  only: whole(-1, -1),
  /** The tokens whose logits are compared, as typed or `#17`; empty: the two texts' own answers. */
  answer: text(),
  other: text(),
  /** The cell of the heat map that is looked at. */
  row: whole(-1, -1),
  column: whole(-1, -1),
});
