// Tokens as people read them, in a label or in running text.

/** Return what a token looks like where blanks and line ends have to be seen; special tokens stand in angles. */
export function visible(token: string): string {
  const special = /^<\|(.+)\|>$/.exec(token)?.[1];
  if (special) return `‹${special}›`;
  return token.replaceAll('\n', '↵').replaceAll('\t', '⇥').replaceAll(' ', '·') || '∅';
}

/** Return the same, cut to what fits beside a picture. */
export function brief(token: string, most = 9): string {
  const text = visible(token);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** Return a token as it stands in running text. A line end is shown, and ends the line. */
export function inText(token: string): string {
  const special = /^<\|(.+)\|>$/.exec(token)?.[1];
  if (special) return `‹${special}›`;
  return token.replaceAll('\t', '⇥\t').replaceAll('\n', '↵\n') || '∅';
}

/** How wide a scale of token numbers reaches: the largest there is, rounded up to a number one can name. */
export function scaleEnd(values: ArrayLike<number>, atLeast = 1): number {
  let most = 0;
  for (let i = 0; i < values.length; i += 1) {
    const size = Math.abs(values[i] as number);
    if (Number.isFinite(size) && size > most) most = size;
  }
  if (most <= atLeast) return atLeast;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((end) => end >= most) ?? most;
}
