// The curves of a history as far as it was computed.

import { arrays, type Wire } from '../../api/client';
import { named } from '../../api/arrays';
import type { Weight } from './shape';

export interface Curves {
  readonly step: Float64Array;
  readonly loss: Float64Array;
  readonly accuracy: Float64Array;
  readonly heldOutLoss: Float64Array | undefined;
  readonly heldOutAccuracy: Float64Array | undefined;
  /** One row a weight asked for, in that order. */
  readonly weights: readonly Float64Array[];
}

export async function askCurves(situation: Wire<'SituationWire'>, weights: readonly Weight[], signal?: AbortSignal): Promise<Curves> {
  const body = { situation, weights: weights.map(({ layer, unit, source }) => [layer, unit, source]) };
  const answer = await arrays<Wire<'PlaygroundHistory'>>('/playground/history', undefined, body, signal);
  const row = (name: string) => answer.arrays[name]?.data as Float64Array | undefined;
  const { data, shape } = named(answer, 'weights');
  const length = shape[1] ?? 0;
  return {
    step: row('step') ?? new Float64Array(),
    loss: row('loss') ?? new Float64Array(),
    accuracy: row('accuracy') ?? new Float64Array(),
    heldOutLoss: row('held_out_loss'),
    heldOutAccuracy: row('held_out_accuracy'),
    weights: weights.map((_, n) => data.subarray(n * length, (n + 1) * length) as Float64Array),
  };
}
