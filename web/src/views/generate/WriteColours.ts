// From a number of a token to the strength of its colour, 0 to 1.

import { scaleEnd } from '../../figures/tokens';
import type { Colour } from './WriteState';
import type { Token, Writing } from './WriteStream.svelte';

export interface Scale {
  /** Where the colour is weakest and where it is strongest. */
  readonly low: number;
  readonly high: number;
  readonly unit: string;
}
/** An improbable token has the full colour from here on. */
const UNLIKELY = 0.001;

export function scaleOf(colour: Colour, texts: readonly Writing[]): Scale {
  if (colour === 'probability') return { low: 1, high: UNLIKELY, unit: '' };
  if (colour === 'entropy') return { low: 0, high: scaleEnd(texts.flatMap((text) => text.tokens.map((token) => token.entropy_bits))), unit: ' bits' };
  return { low: 0, high: scaleEnd(texts.flatMap((text) => text.start?.temperatures.slice(0, Math.max(1, text.tokens.length)) ?? [])), unit: '' };
}

/** Return the number a token is coloured by. */
export function valueOf(colour: Colour, token: Token, temperatures: readonly number[] | undefined): number {
  if (colour === 'probability') return token.probability;
  if (colour === 'entropy') return token.entropy_bits;
  return temperatures?.[token.t] ?? NaN;
}

export function strength(colour: Colour, value: number, scale: Scale): number {
  if (colour === 'none' || Number.isNaN(value)) return 0;
  const share = colour === 'probability' ? Math.log(value) / Math.log(UNLIKELY) : value / scale.high;
  return Math.min(1, Math.max(0, share));
}
