// Where one is in the Writing tab, and what the lab says of a folder of writing.

import { choice, flag, linked, text, whole } from '../../state/location.svelte';
import type { Wire } from '../../api/client';

export type WritingNow = Wire<'WritingNow'>;
export type Part = Wire<'WordPart'>;
export type PieceFacts = Wire<'PieceFacts'>;
export type PairsNow = Wire<'PairsNow'>;

export const STEPS = ['import', 'clean', 'pieces', 'topics', 'pairs'] as const;
export type Step = (typeof STEPS)[number];

export const here = linked({
  step: choice(STEPS, 'import'),
  /** The rule whose changes are shown. */
  rule: text(),
  /** The open piece, and what the list is searched for. */
  piece: text(),
  q: text(),
  kind: text(),
  /** The open pair. */
  side: choice(['train', 'held_out'], 'train'),
  tier: text(),
  pair: whole(0),
  pairOpen: flag(),
});

/** A rule's or a tier's name for people. */
export const words = (name: string): string => (name === 'urls' ? 'URLs' : name.replaceAll('_', ' ').replace(/^./, (first) => first.toUpperCase()));

/** A date as far as it is known: 2020-01-03. */
export const day = (date: string | null | undefined): string => (date ?? '').slice(0, 10);

export const plural = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`;
