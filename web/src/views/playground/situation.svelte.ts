// The playground's situation: everything stands in the address, and from there goes to the lab with every question.

import type { Wire } from '../../api/client';
import { choice, flag, linked, list, location, push, real, text, whole, type Field } from '../../state/location.svelte';
import { edited, editsField, type Edit } from './edits';
import { at as entry, isWeight, read, shapeOf, type Shape } from './shape';

export const DATA = ['xor', 'circles', 'moons', 'spiral', 'linear', 'and', 'or'] as const;
export const ACTIVATIONS = ['tanh', 'sigmoid', 'relu'] as const;
export const LOSSES = ['cross_entropy', 'squared_error'] as const;
export const OPTIMIZERS = ['sgd', 'momentum', 'adam'] as const;
export const PHASES = ['forward', 'loss', 'backward', 'update'] as const;
export const SPEEDS = ['0.25', '0.5', '1', '2', '4', '8', 'max'] as const;
export const TABS = ['inspect', 'hand', 'paths', 'curves', 'many'] as const;
export const HIDEABLE = ['presets', 'data', 'network', 'learning', 'seed', 'panels', 'share'] as const;
export const MAX_STEP = 1_000_000;

const hidden: Field<readonly number[]> = (() => {
  const field = list(whole(4, 1, 8), [4], '-');
  return { ...field, read: (text) => ((value) => (value && value.length >= 1 && value.length <= 3 ? value : undefined))(field.read(text)) };
})();

/** Points of one's own: x1*x2*label, joined by _. */
const own: Field<readonly (readonly number[])[]> = {
  initial: [],
  read: (text) => {
    const rows = text.split('_').map((row) => row.split('*').map((word) => (word.trim() === '' ? NaN : Number(word))));
    const isGood = rows.every((row) => row.length === 3 && row.every(Number.isFinite) && (row[2] === 0 || row[2] === 1));
    return isGood && rows.length >= 2 && rows.length <= 500 ? rows : undefined;
  },
  write: (rows) => rows.map((row) => row.join('*')).join('_'),
};

export const FIELDS = {
  data: choice(DATA, 'xor'),
  points: whole(100, 20, 500),
  noise: real(0, 0, 0.5),
  hidden,
  activation: choice(ACTIVATIONS, 'tanh'),
  loss: choice(LOSSES, 'cross_entropy'),
  penalty: real(0, 0, 10),
  batch: whole(0, 0, 500), // 0: all points
  rate: real(0.5, 0.01, 5),
  optimizer: choice(OPTIMIZERS, 'sgd'),
  seed: whole(0, 0, 2 ** 32 - 1), // of the weights and batches
  draw: whole(0, 0, 2 ** 32 - 1), // of the points
  own,
  edits: editsField,
  step: whole(0, 0, MAX_STEP),
  point: whole(0, 0, 499),
  pick: { initial: '', read: (text: string) => (/^[uwb]\d\.\d(\.\d)?$/.test(text) ? text : undefined), write: (value: string) => value },
  phase: choice(['', ...PHASES], ''),
  speed: choice(SPEEDS, '1'),
  tab: choice(TABS, 'inspect'),
  numbers: flag(),
  maps: flag(true),
  held: flag(true),
  layer: whole(1, 1, 4), // whose weights the curves show
  preset: text(),
  vary: choice(['seed', 'learning_rate'], 'seed'),
  hide: list(choice(HIDEABLE, 'presets'), [], '.'),
};

export const at = linked(FIELDS);

const WORDS: Partial<Record<keyof typeof FIELDS, string>> = {
  points: 'a whole number from 20 to 500', noise: 'a share from 0 to 0.5', hidden: '1 to 3 widths from 1 to 8, such as 8-8',
  penalty: 'a number from 0 to 10', batch: 'a whole number from 0 (all) to 500', rate: 'a number from 0.01 to 5',
  seed: 'a whole number', draw: 'a whole number', step: `a whole number up to ${MAX_STEP}`, pick: 'such as u1.2, w1.2.1 or b1.2',
}; // prettier-ignore

/** Return a line for each thing in the address that makes no sense; its default stands in. */
export function problems(): string[] {
  const found: string[] = [];
  for (const [name, given] of new URL(location.href).searchParams) {
    const shown = given.length > 40 ? `${given.slice(0, 40)}...` : given;
    const field = (FIELDS as Record<string, Field<unknown>>)[name];
    if (!field) found.push(`The address says ${name}=${shown}, which the playground does not know.`);
    else if (field.read(given) === undefined) {
      const words = WORDS[name as keyof typeof FIELDS];
      const initial = (field.write as (value: unknown) => string)(field.initial);
      found.push(`The address says ${name}=${shown}${words ? `; expected ${words}` : ', which cannot be read'}. It is left at ${initial || 'its default'}.`);
    }
  }
  if (misfits(at.edits, shapeOf(at.hidden), nPoints())) found.push('The address holds an edit of a weight or a point that is not there. The edits are left out.');
  if (at.point >= nPoints()) found.push(`The address asks for point ${at.point}, but there are ${nPoints()}. Point 0 is shown.`);
  if (at.pick && !read(at.pick, shapeOf(at.hidden))) found.push(`The address picks ${at.pick}, which this network does not have.`);
  return found;
}

function nPoints(): number {
  return at.own.length || at.points;
}

function misfits(edits: readonly Edit[], { sizes }: Shape, n: number): boolean {
  const isUnit = (layer: number, unit: number) => layer >= 0 && layer < sizes.length && unit >= 1 && unit <= entry(sizes, layer);
  return edits.some(
    (one) =>
      one.weights.some(([layer, unit, source]) => layer < 1 || !isUnit(layer, unit) || (source !== null && !isUnit(layer - 1, source))) ||
      one.points.some(([point]) => point >= n) ||
      one.flips.some((point) => point >= n),
  );
}

const shape = $derived(shapeOf(at.hidden));
const edits = $derived(misfits(at.edits, shape, nPoints()) ? [] : at.edits);
const key = $derived(
  JSON.stringify({
    config: {
      data: at.data, n_points: at.points, noise: at.noise, hidden: at.hidden, activation: at.activation, loss: at.loss,
      confidence_penalty: at.penalty, batch_size: at.batch || null, learning_rate: at.rate, optimizer: at.optimizer, seed: at.draw,
    },
    seeds: [at.seed],
    points: at.own.length ? at.own : null,
    changes: edits,
  }),
); // prettier-ignore
// by way of its text, so that it stays the same object while it says the same
const wire = $derived(JSON.parse(key) as Wire<'SituationWire'>);

export const situation = {
  get shape(): Shape {
    return shape;
  },
  get edits(): readonly Edit[] {
    return edits;
  },
  /** What every question to the lab carries. */
  get wire(): Wire<'SituationWire'> {
    return wire;
  },
  /** The same as text: equal for equal situations. */
  get key(): string {
    return key;
  },
  get nPoints(): number {
    return nPoints();
  },
  get point(): number {
    return at.point < nPoints() ? at.point : 0;
  },
  get picked() {
    return read(at.pick, shape);
  },
};

/** Change something by hand at the present step; `isFirst`: the first moment of a drag, which Back returns to. */
export function change(next: Edit, isFirst = true): void {
  const apply = () => {
    at.edits = edited(situation.edits, next);
  };
  if (isFirst) push(apply);
  else apply();
}

/** Take the last edit back and go to its step. */
export function undo(): Edit | undefined {
  const last = situation.edits.at(-1);
  if (last) {
    push(() => {
      at.edits = situation.edits.slice(0, -1);
      at.step = last.step;
      at.phase = '';
    });
  }
  return last;
}

type Settings = Partial<{ -readonly [K in keyof typeof FIELDS]: (typeof at)[K] }>;
const OTHER_POINTS = ['data', 'points', 'draw', 'own'];

/** Change settings as one entry of the history. A new network begins at step 0; a new rate shows the same step, learnt anew. */
export function settle(settings: Settings, isNewEntry = true): void {
  const names = Object.keys(settings);
  const apply = () => {
    let kept = situation.edits.map((one) => ({ ...one }));
    if (names.includes('hidden')) kept = kept.map((one) => ({ ...one, weights: [] }));
    if (names.some((name) => OTHER_POINTS.includes(name))) kept = kept.map((one) => ({ ...one, points: [], flips: [] }));
    kept = kept.filter((one) => one.weights.length || one.points.length || one.flips.length);
    const startsAnew = names.some((name) => ['hidden', 'seed', ...OTHER_POINTS].includes(name)) || at.step > 3000;
    Object.assign(at, settings);
    if (kept.length !== at.edits.length || names.includes('hidden') || names.some((name) => OTHER_POINTS.includes(name))) at.edits = kept;
    if (startsAnew) at.step = 0;
    if (names.includes('hidden') && at.pick) {
      const picked = read(at.pick, shapeOf(at.hidden));
      if (!picked || (isWeight(picked) && picked.layer > at.hidden.length)) at.pick = '';
    }
    if (at.point >= nPoints()) at.point = 0;
    at.phase = '';
  };
  if (isNewEntry) push(apply);
  else apply();
}
