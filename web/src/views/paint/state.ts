// Where one is in the paint screen: the model, the prompt, how it is painted, the chosen picture and step, the tab. What
// belongs to one tab alone stands in that tab's own linked() object; all of it is in the address.

import { choice, linked, real, text, whole } from '../../state/location.svelte';
import type { Settings } from './api';

export const TAB_IDS = ['paint', 'guidance', 'words', 'change', 'brush', 'latent', 'field', 'train'] as const;
export type TabId = (typeof TAB_IDS)[number];
export const SAMPLERS = ['dpm++', 'heun', 'euler'] as const;
export const MOST_PICTURES = 64;
export const MOST_STEPS = 250;
export const MOST_DRAFTS = 16;

export const at = linked({
  tab: choice(TAB_IDS, 'paint'),
  /** A run, or a folder (`models/creatures`); nothing: the first there is. */
  model: text(),
  /** Nothing: the model's example. */
  prompt: text(),
  negative: text(),
  seed: whole(0),
  n: whole(8, 1, MOST_PICTURES),
  /** Drafts of each picture; the reader chooses one. */
  best: whole(1, 1, MOST_DRAFTS),
  steps: whole(20, 1, MOST_STEPS),
  guidance: real(3, 0, 100),
  sampler: choice(SAMPLERS, 'dpm++'),
  /** The chosen picture. */
  pick: whole(0),
  /** The step of the denoising that is shown; -1: the last there is. */
  step: whole(-1, -1),
  /** A picture as it is at that step, or as the model then expects it to become. */
  shown: choice(['now', 'expected'], 'now'),
});

/** What every tab gets. */
export interface TabProps {
  readonly model: Painter;
  /** All there are, parts alone among them. */
  readonly models: readonly Painter[];
  /** As it is asked: the address's, or the model's example. */
  readonly prompt: string;
}
export type Painter = import('./api').Painter;

/** Return how pictures are painted, as the lab is asked. */
export function settings(): Settings {
  const { steps, sampler, guidance, negative, n, seed } = at;
  return { steps, sampler, guidance, negative, n, seed, guidance_from: 0, guidance_to: 1 };
}
