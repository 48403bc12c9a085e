// The changes of a what-if: a list in the address, each a number in place of one, a part, or a whole tensor.

import { push } from '../../state/location.svelte';
import { state as at, type Edit } from './state';

type Part = Edit['index'];

function isSamePlace(a: Edit, address: string, index: Part): boolean {
  return a.address === address && JSON.stringify(a.index) === JSON.stringify(index);
}

/** Put a number in place of others; the same place again replaces the change made before. */
export function change(address: string, index: Part, value: number, isDrag = false): void {
  const next = [...at.edits.filter((edit) => !isSamePlace(edit, address, index)), { address, index, value: sent(value) }];
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

function sent(value: number): Edit['value'] {
  if (Number.isNaN(value)) return 'nan';
  return Number.isFinite(value) ? value : value > 0 ? 'inf' : '-inf';
}

const WORDS = new Map([['nan', NaN], ['inf', Infinity], ['+inf', Infinity], ['-inf', -Infinity], ['infinity', Infinity], ['-infinity', -Infinity], ['∞', Infinity], ['-∞', -Infinity]]);

/** Read a number as a person types it, `nan` and `-inf` too; undefined where it is none. */
export function typed(text: string): number | undefined {
  const word = WORDS.get(text.trim().toLowerCase().replace('−', '-'));
  if (word !== undefined) return word;
  const value = Number(text.trim().replace('−', '-').replace(',', '.'));
  return text.trim() !== '' && Number.isFinite(value) ? value : undefined;
}
