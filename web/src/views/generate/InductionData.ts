// What the induction tab asks the lab: scores of all heads on sequences that repeat, one head's pattern, the checkpoints.

import { arrays, type Wire } from '../../api/client';
import { named, type Arrays } from '../../api/arrays';
import { flag, linked, text, whole } from '../../state/location.svelte';

export const look = linked({
  seed: whole(0, 0, 2 ** 31 - 1),
  /** Tokens in a half; 0: 64, or what fits the model. */
  length: whole(0, 0),
  /** Which head's pattern is shown; nothing: the best. The attention tab means the same. */
  head: text(),
  /** Whether the checkpoints of the run are measured too. */
  checkpoints: flag(),
});

export interface Scan {
  readonly meta: Wire<'InductionMeta'>;
  /** By layer, head. */
  readonly prefix: Float32Array;
  readonly control: Float32Array;
  readonly copying: Float32Array;
  readonly raised: Float32Array;
  /** By position; NaN at 0. */
  readonly loss: Float32Array;
  readonly controlLoss: Float32Array;
}

export interface Repeated {
  readonly meta: Wire<'RepeatedPattern'>;
  readonly weights: Float32Array;
}

export interface Steps {
  readonly meta: Wire<'CheckpointsMeta'>;
  readonly steps: Float64Array;
  /** By checkpoint, layer, head. */
  readonly prefix: Float64Array;
  readonly control: Float64Array;
  readonly copying: Float64Array;
  readonly firstHalf: Float64Array;
  readonly secondHalf: Float64Array;
}

export interface Asked {
  readonly model: string;
  readonly seed: number;
  readonly length: number | null;
}

const floats = (answer: Arrays<unknown>, name: string): Float32Array => named(answer, name).data as Float32Array;
const doubles = (answer: Arrays<unknown>, name: string): Float64Array => named(answer, name).data as Float64Array;

export async function askScan(asked: Asked, signal: AbortSignal): Promise<Scan> {
  const answer = await arrays<Wire<'InductionMeta'>>('/lens/induction', undefined, asked, signal);
  const of = (name: string): Float32Array => floats(answer, name);
  return { meta: answer.meta, prefix: of('prefix'), control: of('control'), copying: of('copying'), raised: of('raised'), loss: of('loss'), controlLoss: of('control_loss') };
}

export async function askRepeated(asked: Asked & { layer: number; head: number }, signal: AbortSignal): Promise<Repeated> {
  const answer = await arrays<Wire<'RepeatedPattern'>>('/lens/induction/head', undefined, asked, signal);
  return { meta: answer.meta, weights: floats(answer, 'pattern') };
}

export async function askSteps(asked: Asked, signal: AbortSignal): Promise<Steps> {
  const answer = await arrays<Wire<'CheckpointsMeta'>>('/lens/induction/checkpoints', undefined, asked, signal);
  const of = (name: string): Float64Array => doubles(answer, name);
  return { meta: answer.meta, steps: of('steps'), prefix: of('prefix'), control: of('control'), copying: of('copying'), firstHalf: of('first_half'), secondHalf: of('second_half') };
}

export interface HeadScore {
  readonly name: string;
  readonly layer: number;
  readonly head: number;
  readonly prefix: number;
  readonly control: number;
  /** Prefix matching above its control: what the rule asks. */
  readonly gain: number;
  readonly copying: number;
  readonly raised: number;
  readonly isInduction: boolean;
}

/** Return all heads with their scores, the best at matching first. */
export function headScores(found: Scan): HeadScore[] {
  const { heads, layers } = found.meta;
  const all = Array.from({ length: layers * heads }, (_, i) => {
    const [layer, head] = [Math.floor(i / heads), i % heads];
    const [prefix, control] = [found.prefix[i] ?? NaN, found.control[i] ?? NaN];
    const name = `${layer}.${head}`;
    return { name, layer, head, prefix, control, gain: prefix - control, copying: found.copying[i] ?? NaN, raised: found.raised[i] ?? NaN, isInduction: found.meta.found.includes(name) };
  });
  return all.sort((a, b) => b.gain - a.gain);
}
