// What the lab answers when parts are taken away, or carried over from another text.

import { named, type Arrays } from '../../api/arrays';
import { arrays, type Wire } from '../../api/client';

export interface AblateQuestion {
  readonly model: string;
  readonly prompt: string;
  readonly position: number;
  readonly off: readonly string[];
  readonly how: 'zero' | 'mean';
}

export interface Ablated {
  readonly meta: Wire<'Ablated'>;
  /** Of every token, given those before it, in nats; NaN for the first. */
  readonly before: Float64Array;
  readonly after: Float64Array;
}

function numbers(answer: Arrays<unknown>, name: string): Float64Array {
  return Float64Array.from(named(answer, name).data);
}

export async function askAblated(question: AblateQuestion, signal: AbortSignal): Promise<Ablated> {
  const answer = await arrays<Wire<'Ablated'>>('/lens/ablate', undefined, question, signal);
  return { meta: answer.meta, before: numbers(answer, 'before'), after: numbers(answer, 'after') };
}

export interface Scanned {
  readonly meta: Wire<'Scanned'>;
  /** By how much the loss grows without each part: heads layer by layer, then the MLPs. */
  readonly loss: { readonly heads: Float64Array; readonly mlps: Float64Array };
  /** By how much the answer's logit falls. */
  readonly answer: { readonly heads: Float64Array; readonly mlps: Float64Array };
}

export async function askScanned(question: Omit<AblateQuestion, 'off'>, signal: AbortSignal): Promise<Scanned> {
  const found = await arrays<Wire<'Scanned'>>('/lens/ablate/scan', undefined, question, signal);
  return {
    meta: found.meta,
    loss: { heads: numbers(found, 'loss_heads'), mlps: numbers(found, 'loss_mlps') },
    answer: { heads: numbers(found, 'answer_heads'), mlps: numbers(found, 'answer_mlps') },
  };
}

export interface PatchQuestion {
  readonly model: string;
  readonly prompt: string;
  readonly second: string;
  readonly what: string;
  /** The position at which heads are carried over; -1: all. */
  readonly at: number;
  readonly answer: string;
  readonly other: string;
}

export interface Patched {
  readonly meta: Wire<'Patched'>;
  /** Rows are layers; columns positions or heads. */
  readonly effect: Float64Array;
  readonly value: Float64Array;
}

export async function askPatched(question: PatchQuestion, signal: AbortSignal): Promise<Patched> {
  const answer = await arrays<Wire<'Patched'>>('/lens/patch', undefined, question, signal);
  return { meta: answer.meta, effect: numbers(answer, 'effect'), value: numbers(answer, 'value') };
}
