// Times as short as a step of a small model takes.

import { duration, short } from '../../lib/numbers';

export function time(seconds: number): string {
  if (seconds < 0.001) return `${short(seconds * 1e6, 3)} µs`;
  return seconds < 1 ? `${short(seconds * 1000, 3)} ms` : duration(seconds);
}

const LARGE = new Intl.NumberFormat('en-US', { notation: 'compact', compactDisplay: 'long', maximumSignificantDigits: 3 });
/** Return a large count in words: 690 million. */
export function many(value: number): string {
  return LARGE.format(value);
}
