// What the surprise tab asks the lab: how surprising each token of a text is to a model, and to two models on the same text.

import { arrays, post, type Wire } from '../../api/client';
import { named, type Arrays } from '../../api/arrays';
import { choice, linked, whole } from '../../state/location.svelte';

export const SHOWN = ['first', 'second', 'difference'] as const;

export const look = linked({
  /** Which numbers colour the text. */
  colour: choice(SHOWN, 'first'),
  /** Whether the text is the prompt, or a longer one that does not stand in the address. */
  text: choice(['prompt', 'own'], 'prompt'),
  /** The token that is looked at; -1: none yet. */
  at: whole(-1, -1),
  /** The piece that is looked at where two models are compared; -1: none yet. */
  piece: whole(-1, -1),
});

/** A longer text, pasted or from a file; it stays in this page only. */
export const own = $state({ text: '', name: '' });

export interface Surprise {
  readonly meta: Wire<'SurpriseMeta'>;
  /** Bits by token; NaN: not computed. */
  readonly bits: Float64Array;
  /** 1: what the model found likeliest; -1: not computed. */
  readonly rank: Float64Array;
  /** Bits the model expected here, whatever came. */
  readonly entropy: Float64Array;
  /** How many tokens it had before it. */
  readonly seen: Float64Array;
}

export interface Difference {
  readonly meta: Wire<'DifferenceMeta'>;
  readonly first: Float64Array;
  readonly second: Float64Array;
}

const array = (answer: Arrays<unknown>, name: string): Float64Array => named(answer, name).data as Float64Array;

export async function askSurprise(asked: { model: string; text: string }, signal: AbortSignal): Promise<Surprise> {
  const answer = await arrays<Wire<'SurpriseMeta'>>('/lens/surprise', undefined, asked, signal);
  return { meta: answer.meta, bits: array(answer, 'bits'), rank: array(answer, 'rank'), entropy: array(answer, 'entropy'), seen: array(answer, 'seen') };
}

export async function askDifference(asked: { model: string; other: string; text: string }, signal: AbortSignal): Promise<Difference> {
  const answer = await arrays<Wire<'DifferenceMeta'>>('/lens/surprise/difference', undefined, asked, signal);
  return { meta: answer.meta, first: array(answer, 'first'), second: array(answer, 'second') };
}

export type Told = Wire<'TokenTold'> & { readonly model: string };

export async function askToken(asked: { model: string; text: string; at: number }, signal: AbortSignal): Promise<Told> {
  return { ...(await post<Wire<'TokenTold'>>('/lens/surprise/token', asked, undefined, signal)), model: asked.model };
}

/** Return the places of the largest numbers, the largest first. */
export function largestOf(values: ArrayLike<number>, most: number): number[] {
  return Array.from({ length: values.length }, (_, i) => i)
    .filter((i) => Number.isFinite(values[i]))
    .sort((a, b) => (values[b] as number) - (values[a] as number))
    .slice(0, most);
}
