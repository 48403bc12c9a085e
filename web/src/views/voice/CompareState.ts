// Where one is in the Compare tab: which models, what is looked at, who rates. All of it is in the address.

import { choice, flag, linked, list, text, whole } from '../../state/location.svelte';
import type { Wire } from '../../api/client';

export type Comparing = Wire<'Comparing'>;
export type IntervalSaid = Wire<'IntervalSaid'>;
export type ResultsSaid = Wire<'ResultsSaid'>;

export const VIEWS = ['read', 'rate', 'grade', 'results', 'prompts'] as const;
export type View = (typeof VIEWS)[number];
export const MOST_MODELS = 4;

export const here = linked({
  view: choice(VIEWS, 'read'),
  /** Models side by side; none: the chosen tuned run and what it began with. */
  models: list(text()),
  /** The prompt that is read, and which of its answers. */
  prompt: text(),
  sample: whole(0),
  /** Whether what differs from the first answer is marked. */
  marks: flag(false),
  seed: whole(0),
  rater: text('me'),
});

/** What the views of this tab get. */
export interface CompareProps {
  readonly writing: string;
  readonly models: readonly string[];
  readonly comparing: Comparing;
}

/** A model's name for people: of a path only its end. */
export const short = (name: string): string => (name.startsWith('/') ? (name.split('/').at(-1) ?? name) : name);

export const percent = (value: number | null | undefined, digits = 0): string => (value === null || value === undefined ? 'not computed' : `${(100 * value).toFixed(digits)} %`);

/** An interval as people say it: `62 % (48 to 75)`. */
export function between(one: IntervalSaid): string {
  if (one.value === null || one.n === 0) return 'no votes yet';
  if (one.low === null || one.high === null) return percent(one.value);
  return `${percent(one.value)} (${(100 * one.low).toFixed(0)} to ${(100 * one.high).toFixed(0)})`;
}
