// What the attention tab asks the lab, and how a head is named in the address.

import { arrays, type Wire } from '../../api/client';
import { named } from '../../api/arrays';
import { choice, linked, text, whole } from '../../state/location.svelte';

/** A head: layer and number, or null for the mean over them. */
export interface Head {
  readonly layer: number | null;
  readonly head: number | null;
}

export interface Heads {
  readonly model: string;
  readonly meta: Wire<'HeadsMeta'>;
  /** By layer, head, kind. */
  readonly score: Float32Array;
  readonly raw: Float32Array;
  /** Small patterns by layer, head; behind each layer's heads their mean. */
  readonly small: Float32Array;
  readonly side: number;
}

export interface Pattern {
  readonly tokens: readonly string[];
  readonly of: Head;
  readonly weights: Float32Array;
}

export const look = linked({
  /** Which head is large: `2.0`, `2.mean`, `mean.0`, `mean.mean`; nothing: the one that is most of its kind. */
  head: text(),
  /** The token that is looked at; -1: the last. The other tabs mean the same. */
  at: whole(-1, -1),
  /** The position whose weight is read; -1: the one read most. */
  read: whole(-1, -1),
  /** What the list of heads is sorted by: a kind, or `head`. */
  sort: text(),
  order: choice(['down', 'up'], 'down'),
});

export async function askHeads(asked: { model: string; text: string }, signal: AbortSignal): Promise<Heads> {
  const { meta, ...found } = await arrays<Wire<'HeadsMeta'>>('/lens/attention', undefined, asked, signal);
  const array = (name: string): Float32Array => named({ meta, ...found }, name).data as Float32Array;
  const side = named({ meta, ...found }, 'small').shape[2] ?? 0;
  return { model: asked.model, meta, score: array('score'), raw: array('raw'), small: array('small'), side };
}

export async function askPattern(asked: { model: string; text: string } & Head, signal: AbortSignal): Promise<Pattern> {
  const answer = await arrays<Wire<'PatternMeta'>>('/lens/attention/head', undefined, asked, signal);
  const { tokens, layer, head } = answer.meta;
  return { tokens, of: { layer, head }, weights: named(answer, 'pattern').data as Float32Array };
}

export function headText({ layer, head }: Head): string {
  return `${layer ?? 'mean'}.${head ?? 'mean'}`;
}

/** Return the head an address names, or undefined where there is none of that name. */
export function readHead(given: string, { layers, heads }: { layers: number; heads: number }): Head | undefined {
  const [layer, head, ...others] = given.split('.').map((part) => (part === 'mean' ? null : /^\d+$/.test(part) ? Number(part) : undefined));
  if (layer === undefined || head === undefined || others.length) return undefined;
  if ((layer ?? 0) >= layers || (head ?? 0) >= heads) return undefined;
  return { layer, head };
}

/** Return the small pattern of a head, or of the mean of a layer's. */
export function smallOf(found: Heads, layer: number, head: number | null): Float32Array {
  const { heads } = found.meta;
  const size = found.side ** 2;
  const at = (layer * (heads + 1) + (head ?? heads)) * size;
  return found.small.subarray(at, at + size);
}

export function scoreOf(found: Heads, layer: number, head: number, kind: number): number {
  return found.score[(layer * found.meta.heads + head) * found.meta.kinds.length + kind] ?? NaN;
}

/** Return which kind a head is called by, and its score; without one, the kind that comes nearest. */
export function kindOf(found: Heads, layer: number, head: number): { name: string; score: number; isCalled: boolean } {
  const called = found.meta.called[layer]?.[head];
  let best = { name: '', score: -Infinity, isCalled: false };
  found.meta.kinds.forEach(({ name }, kind) => {
    const score = scoreOf(found, layer, head, kind);
    if (name === called) best = { name, score, isCalled: true };
    else if (!best.isCalled && score > best.score) best = { name, score, isCalled: false };
  });
  return best;
}

/** Return the head to begin with: the one with the highest score of those that are called something, induction first. */
export function firstHead(found: Heads): Head {
  let best: Head = { layer: 0, head: 0 };
  let most = -Infinity;
  for (let layer = 0; layer < found.meta.layers; layer += 1) {
    for (let head = 0; head < found.meta.heads; head += 1) {
      const kind = kindOf(found, layer, head);
      const rank = (kind.name === 'induction' ? 2 : 0) + (kind.isCalled ? 1 : -9) + kind.score;
      if (rank > most) [best, most] = [{ layer, head }, rank];
    }
  }
  return best;
}

export const ABOUT: Readonly<Record<string, string>> = {
  'previous token': 'looks at the token before',
  'first token': 'looks at the first token: where many heads rest that have nothing to say',
  'same token': 'looks at earlier places with the same token',
  induction: 'looks at what came next the last time this token stood there',
  uniform: 'looks everywhere alike',
};
