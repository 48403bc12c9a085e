// Numbers that JSON has no word for: the lab sends them as text.

export type WireNumber = number | 'nan' | 'inf' | '-inf';

/** Return the number. */
export function numberOf(sent: WireNumber): number {
  if (typeof sent === 'number') return sent;
  return sent === 'nan' ? NaN : sent === 'inf' ? Infinity : -Infinity;
}
