// From the lab's histograms (bins that grow with the size of the number) to those of one layer, ready to be drawn.

import type { Arrays } from '../../api/arrays';
import { named } from '../../api/arrays';
import { coarse, merged, quantile, total, type Histogram } from '../../figures/ridge';
import type { HistogramsMeta } from './wire';

export const KINDS = ['weights', 'gradients', 'updates', 'activations'] as const;
export type Kind = (typeof KINDS)[number];
export const KIND_WORDS: Record<Kind, string> = {
  weights: 'The numbers the model has learned so far.',
  gradients: 'How the loss would change with each weight.',
  updates: 'What one step added to each weight.',
  activations: 'What the layer put out for a batch of text.',
};
export const FACTS = ['mean', 'std', 'lowest', 'highest', 'total', 'below', 'above', 'not_finite'] as const;
export type Facts = Record<(typeof FACTS)[number], number>;

const BINS = 64;

/** Return the histograms of one layer, with every bin as it was counted. */
export function ofLayer(answer: Arrays<HistogramsMeta>, layer: string): Histogram[] {
  const at = answer.meta.layers.indexOf(layer);
  const edges = named(answer, 'edges').data;
  const { data, shape } = named(answer, 'counts');
  const [, layers = 0, bins = 0] = shape;
  if (at < 0) return [];
  return answer.meta.steps.map((step, i) => ({ step, edges, counts: data.subarray((i * layers + at) * bins, (i * layers + at + 1) * bins) })).filter((one) => total(one) > 0);
}

/** Return them over an even axis: bins added together to at least a 64th of where nearly all numbers stand. */
export function evenly(histograms: readonly Histogram[]): { histograms: Histogram[]; range: readonly [number, number] } {
  let [low, high] = [Infinity, -Infinity];
  for (const one of histograms) {
    low = Math.min(low, quantile(one, 0.001));
    high = Math.max(high, quantile(one, 0.999));
  }
  if (!(low < high)) return { histograms: [...histograms], range: [-1, 1] };
  const edges = histograms[0]?.edges ?? [];
  const chosen = coarse(edges, (high - low) / BINS);
  const air = (high - low) * 0.04;
  return { histograms: histograms.map((one) => merged(one, chosen)), range: [low - air, high + air] };
}

/** Return what else is known of a layer at a step. */
export function facts(answer: Arrays<HistogramsMeta>, layer: string, step: number): Facts {
  const i = answer.meta.steps.indexOf(step) * answer.meta.layers.length + answer.meta.layers.indexOf(layer);
  return Object.fromEntries(FACTS.map((name) => [name, answer.arrays[name]?.data[i] ?? NaN])) as Facts;
}
