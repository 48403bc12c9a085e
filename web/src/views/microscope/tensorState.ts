// How a tensor is shown, and ways to it: in the address too, beside the fields of state.ts.

import { choice, flag, linked, location, text, type Field } from '../../state/location.svelte';
import type { Range } from '../../figures/HeatMapLegend.svelte';
import type { Wire } from '../../api/client';
import { ask, indexText } from './api';
import { spotText, state, type Edit, type Spot } from './state';

const range: Field<Range> = {
  initial: 'most',
  read: (given) => (given === 'full' || given === 'most' ? given : Number(given) > 0 && Number.isFinite(Number(given)) ? Number(given) : undefined),
  write: String,
};

/** value: as it is here; before: as recorded, without the edits; other: in the second trace; edits, traces: the differences. */
export const SHOWN = ['value', 'before', 'moved', 'other', 'difference'] as const;
export type Shown = (typeof SHOWN)[number];

export const look = linked({
  range,
  log: flag(),
  pool: choice(['mean', 'largest', 'min', 'max'], 'mean'),
  shown: choice(SHOWN, 'value'),
  /** What of the picture is in sight, `row,column,zoom@address`: it holds for that tensor alone. */
  view: text(),
});

/** A number as the lab sends it: what JSON has no word for comes as text. */
export type Sent = number | 'nan' | 'inf' | '-inf';

const WORDS = { nan: NaN, inf: Infinity, '-inf': -Infinity } as const;

/** Return a number that was sent. */
export function num(sent: Sent): number {
  return typeof sent === 'number' ? sent : WORDS[sent];
}

/** Return an address and an index as people write them. */
export function spotName({ address, index }: Spot): string {
  return index.length ? `${address}[${index.join(', ')}]` : address;
}

/** Return the link to a number or a tensor of the open trace. */
export function spotHref(address: string, index: readonly number[] = [], edits?: readonly Edit[]): string {
  const url = new URL(location.href);
  const to = url.searchParams;
  for (const name of ['rows', 'cols', 'fixed', 'view', 'index']) to.delete(name);
  to.set('address', address);
  if (index.length) {
    to.set('index', indexText(index));
    to.set('fixed', indexText(index));
  }
  if (edits) {
    if (edits.length) to.set('edits', JSON.stringify(edits));
    else to.delete('edits');
  }
  const here = { address: state.address, index: state.index };
  if (here.address && spotText(here) !== spotText({ address, index })) to.set('way', [...state.way.map(spotText), spotText(here)].slice(-12).join(';'));
  return url.pathname + url.search;
}

/** Return whether an edit changes a number. */
export function touches(edit: Edit, address: string, index: readonly number[]): boolean {
  return edit.address === address && (edit.index === null || (edit.index.length === index.length && edit.index.every((one, i) => one === null || one === index[i])));
}

/** Return a line of a program without the folders it lies in. */
export function lineOf(source: string): string {
  return source.split(/[\\/]/).at(-1) ?? source;
}

/** Return whether an address without an index is a tensor with axes, and no single number. */
export async function isTensor({ address, index }: Spot, signal: AbortSignal): Promise<boolean> {
  if (index.length) return false;
  const { found } = await ask<Wire<'Addresses'>>('addresses', { query: address, limit: 5 }, signal);
  return (found.find((one) => one.address === address)?.shape.length ?? 0) > 0;
}
