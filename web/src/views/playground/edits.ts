// Edits: what was changed by hand at a step. They stand in the address as 12*w*1*2*1*0.5*p*3*0.1*0.2*1_40*f*3*5: at step 12
// the weight of layer 1, unit 2 from 1 became 0.5 and point 3 moved; at step 40 the labels of points 3 and 5 were flipped.

import type { Wire } from '../../api/client';
import type { Field } from '../../state/location.svelte';

export type Edit = Required<Wire<'ChangeWire'>>;
export type WeightEdit = Edit['weights'][number];
export type PointEdit = Edit['points'][number];

export function edit(step: number, changed: Partial<Edit>): Edit {
  return { weights: [], points: [], flips: [], ...changed, step };
}

function written(one: Edit): string {
  const weights = one.weights.map(([layer, unit, source, value]) => (source === null ? `b*${layer}*${unit}*${value}` : `w*${layer}*${unit}*${source}*${value}`));
  const points = one.points.map((point) => `p*${point.join('*')}`);
  const flips = one.flips.length ? [`f*${one.flips.join('*')}`] : [];
  return [one.step, ...weights, ...points, ...flips].join('*');
}

function read(text: string): Edit | undefined {
  const words = text.split('*');
  const step = Number(words.shift());
  const found = edit(step, {});
  const take = (n: number): number[] => words.splice(0, n).map((word) => (word.trim() === '' ? NaN : Number(word)));
  const isWhole = (...values: (number | undefined)[]) => values.every((value) => Number.isSafeInteger(value) && (value ?? -1) >= 0);
  if (!isWhole(step)) return undefined;
  while (words.length) {
    const kind = words.shift();
    if (kind === 'w' || kind === 'b') {
      const [layer = NaN, unit = NaN, ...rest] = take(kind === 'w' ? 4 : 3);
      const source = kind === 'w' ? (rest[0] ?? NaN) : null;
      const value = rest.at(-1) ?? NaN;
      if (!isWhole(layer, unit, source ?? 0) || !Number.isFinite(value)) return undefined;
      found.weights.push([layer, unit, source, value]);
    } else if (kind === 'p') {
      const [point = NaN, x1 = NaN, x2 = NaN, label = NaN] = take(4);
      if (!isWhole(point) || !Number.isFinite(x1) || !Number.isFinite(x2) || (label !== 0 && label !== 1)) return undefined;
      found.points.push([point, x1, x2, label]);
    } else if (kind === 'f') {
      const end = words.findIndex((word) => /[a-z]/.test(word));
      const flips = take(end < 0 ? words.length : end);
      if (!flips.length || !isWhole(...flips)) return undefined;
      found.flips.push(...flips);
    } else return undefined;
  }
  return found;
}

export const editsField: Field<readonly Edit[]> = {
  initial: [],
  read: (text) => {
    const found = text === '' ? [] : text.split('_').map(read);
    const isOrdered = found.every((one, n) => n === 0 || (one?.step ?? -1) >= (found[n - 1]?.step ?? 0));
    return isOrdered && found.every((one) => one !== undefined) ? (found as Edit[]) : undefined;
  },
  write: (edits) => edits.map(written).join('_'),
};

function targets(one: Edit): string {
  return JSON.stringify([one.step, one.weights.map((weight) => weight.slice(0, 3)), one.points.map((point) => point[0])]);
}

function onlyFlips(one: Edit): boolean {
  return one.flips.length > 0 && !one.weights.length && !one.points.length;
}

/** Return the edits with one more: what came after its step is cut off, and a drag stays one edit. */
export function edited(edits: readonly Edit[], next: Edit): Edit[] {
  const kept = edits.filter((one) => one.step <= next.step);
  const last = kept.at(-1);
  if (last && last.step === next.step && onlyFlips(last) && onlyFlips(next)) {
    const flips = [...last.flips, ...next.flips].filter((point) => last.flips.includes(point) !== next.flips.includes(point));
    kept.pop();
    return flips.length ? [...kept, { ...next, flips: [...new Set(flips)].sort((a, b) => a - b) }] : kept;
  }
  if (last && !last.flips.length && !next.flips.length && targets(last) === targets(next)) kept.pop();
  return [...kept, next];
}

/** Return the edit in words. */
export function said(one: Edit): string {
  const [weight] = one.weights;
  const [point] = one.points;
  if (weight) return `step ${one.step}: ${weight[2] === null ? `bias of unit ${weight[1]}` : `weight from ${weight[2]} to unit ${weight[1]}`}, layer ${weight[0]}`;
  if (point) return `step ${one.step}: point ${point[0]}`;
  return `step ${one.step}: ${one.flips.length} ${one.flips.length === 1 ? 'label' : 'labels'} flipped`;
}
