// The changes of a what-if: a list in the address, each a number in place of one, a part, or a whole tensor.

import { push } from '../../state/location.svelte';
import { state as at, type Edit } from './state';

type Part = Edit['index'];

function isSamePlace(a: Edit, address: string, index: Part): boolean {
  return a.address === address && JSON.stringify(a.index) === JSON.stringify(index);
}

/** Put a number in place of others; the same place again replaces the change made before. */
export function change(address: string, index: Part, value: number, isDrag = false): void {
  const next = [...at.edits.filter((edit) => !isSamePlace(edit, address, index)), { address, index, value }];
  if (isDrag) at.edits = next;
  else push(() => (at.edits = next));
}

export function takeBack(which: number): void {
  push(() => (at.edits = at.edits.filter((_, i) => i !== which)));
}

export function takeAllBack(): void {
  push(() => (at.edits = []));
}

/** Return a change as people read it: `attn.z[0, :, 3, :] = 0`. */
export function editName({ address, index }: Edit): string {
  return index === null ? `all of ${address}` : `${address}[${index.map((one) => one ?? ':').join(', ')}]`;
}

/** Read a number as a person types it; undefined where it is none. JSON, and so the address, has no word for infinite ones. */
export function typed(text: string): number | undefined {
  const value = Number(text.trim().replace('−', '-').replace(',', '.'));
  return text.trim() !== '' && Number.isFinite(value) ? value : undefined;
}
