// What changed from one text to the next, character by character: the shortest list of what stays and what is new
// (Myers, 1986, "An O(ND) difference algorithm"). Samples are some hundred characters, so the plain table is quick.

export interface Part {
  readonly text: string;
  readonly isNew: boolean;
}

/** Return `after` in parts: those that `before` has too, in order, and those that are new. */
export function changes(before: string, after: string): Part[] {
  const a = [...before];
  const b = [...after];
  if (a.length * b.length > 4_000_000) return [{ text: after, isNew: before !== after }];
  // common[i][j]: the most characters a[i..] and b[j..] share in order
  const wide = b.length + 1;
  const common = new Uint16Array((a.length + 1) * wide);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const at = i * wide + j;
      common[at] = a[i] === b[j] ? (common[at + wide + 1] as number) + 1 : Math.max(common[at + wide] as number, common[at + 1] as number);
    }
  }
  const parts: { text: string; isNew: boolean }[] = [];
  const add = (text: string, isNew: boolean): void => {
    const last = parts.at(-1);
    if (last?.isNew === isNew) last.text += text;
    else parts.push({ text, isNew });
  };
  let [i, j] = [0, 0];
  while (j < b.length) {
    if (i < a.length && a[i] === b[j]) {
      add(b[j] as string, false);
      i += 1;
      j += 1;
    } else if (i < a.length && (common[(i + 1) * wide + j] as number) >= (common[i * wide + j + 1] as number)) i += 1;
    else {
      add(b[j] as string, true);
      j += 1;
    }
  }
  return parts;
}
