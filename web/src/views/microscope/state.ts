// Where one is in the microscope: all of it stands in the address, so every situation is a link and Back works.

import { choice, flag, json, linked, list, push, text, whole, type Field } from '../../state/location.svelte';

/** Numbers in place of recorded ones: of a whole tensor (index null), of a part (null for a whole axis), or one. */
export interface Edit {
  readonly address: string;
  readonly index: readonly (number | null)[] | null;
  /** JSON, and so the address, has no word for numbers that are infinite or none. */
  readonly value: number | 'nan' | 'inf' | '-inf';
}

/** A number, or with an empty index where the tensor has axes, a tensor. */
export interface Spot {
  readonly address: string;
  readonly index: readonly number[];
}

export const PHASES = ['forward', 'backward', 'optimizer'] as const;
export type Phase = (typeof PHASES)[number];
/** What a phone shows; on wide screens overview, tensor and number stand side by side. */
export const TABS = ['overview', 'tensor', 'number', 'what-if'] as const;
export type Tab = (typeof TABS)[number];
/** What the overview's side shows. */
export const SIDES = ['overview', 'findings', 'compare'] as const;
export type Side = (typeof SIDES)[number];

const LONGEST_WAY = 12;

/** An address and an index as one text: `lm_head.weight:grad@3,7`. */
export function spotText({ address, index }: Spot): string {
  return index.length ? `${address}@${index.join(',')}` : address;
}

function readSpot(given: string): Spot | undefined {
  const at = given.lastIndexOf('@');
  if (at < 0) return given ? { address: given, index: [] } : undefined;
  const index = given.slice(at + 1).split(',').map(Number);
  return index.every((one) => Number.isSafeInteger(one) && one >= 0) ? { address: given.slice(0, at), index } : undefined;
}

const spot: Field<Spot> = { initial: { address: '', index: [] }, read: readSpot, write: spotText };

function areEdits(value: unknown): value is readonly Edit[] {
  const isPlace = (one: unknown) => one === null || (typeof one === 'number' && Number.isSafeInteger(one));
  return (
    Array.isArray(value) &&
    value.every(
      (one: Partial<Edit> | null) =>
        one !== null && typeof one.address === 'string' && (typeof one.value === 'number' || one.value === 'nan' || one.value === 'inf' || one.value === '-inf') && (one.index === null || (Array.isArray(one.index) && one.index.every(isPlace))),
    )
  );
}

export const state = linked({
  /** The run to record a step of, where no trace is open. */
  run: text(),
  /** The open trace, by its path inside the lab's folder: `stdlib-1/traces/1`. */
  trace: text(),
  /** A second trace, compared with the first; the name of the first itself: that one as it was before the edits. */
  other: text(),
  /** Which tensor is looked at, and which of its numbers. */
  address: text(),
  index: list(whole(0)),
  /** The axes shown as rows and columns; -1: the last two. */
  rows: whole(-1, -1),
  cols: whole(-1, -1),
  /** Where the other axes stand. */
  fixed: list(whole(0)),
  /** Modules that are open in the overview, by their paths. */
  open: list(text()),
  /** The phase that is shown alone, or all. */
  phase: choice(['all', ...PHASES], 'all'),
  /** Up to which operation the data has flowed; -1: nobody has played it. */
  position: whole(-1, -1),
  edits: json<readonly Edit[]>([], areEdits),
  tab: choice(TABS, 'overview'),
  side: choice(SIDES, 'overview'),
  /** The overview of the second trace stands beside the first. */
  beside: flag(),
  search: text(),
  /** Which way one came: the spots before this one, for the breadcrumb. */
  way: list(spot, [], ';'),
  /** How much of a wide screen the overview takes, in percent. */
  split: whole(38, 20, 80),
  /** The list of traces is shown although one is open. */
  choosing: flag(),
});

const ROOM_FOR_TWO = 58;

/** Return how much of a wide screen the overview takes, in percent: two of them take more, unless somebody shared the room out. */
export function room(): number {
  return state.beside && state.other && state.split === 38 ? ROOM_FOR_TWO : state.split;
}

export type MicroscopeState = typeof state;

/** What a request about the open trace carries. */
export function about(): { trace: string; edits?: string } {
  return state.edits.length ? { trace: state.trace, edits: JSON.stringify(state.edits) } : { trace: state.trace };
}

/** Look at a tensor, or at one of its numbers; Back returns. On a phone the panel that answers comes to the front. */
export function goTo(address: string, index: readonly number[] = [], tab: Tab = index.length ? 'number' : 'tensor', also?: () => void): void {
  push(() => {
    also?.();
    const here: Spot = { address: state.address, index: state.index };
    const isSame = here.address === address && here.index.join() === index.join();
    if (here.address && !isSame) state.way = [...state.way, here].slice(-LONGEST_WAY);
    if (here.address !== address) {
      state.rows = -1;
      state.cols = -1;
      state.fixed = [...index];
    }
    state.address = address;
    state.index = [...index];
    state.tab = tab;
  });
}

/** Go back along the breadcrumb to one of the spots on it. */
export function goBackTo(step: number): void {
  const target = state.way[step];
  if (!target) return;
  push(() => {
    const isOther = target.address !== state.address;
    state.way = state.way.slice(0, step);
    if (isOther) {
      state.rows = -1;
      state.cols = -1;
      state.fixed = [...target.index];
    }
    state.address = target.address;
    state.index = [...target.index];
  });
}

/** Move to another number of the same tensor (an arrow key, a drag): the address follows, the history does not grow. */
export function moveTo(index: readonly number[]): void {
  state.index = [...index];
}

/** Open another trace: everything about the one before is forgotten. */
export function openTrace(trace: string): void {
  push(() => {
    state.trace = trace;
    state.other = '';
    state.address = '';
    state.index = [];
    state.rows = -1;
    state.cols = -1;
    state.fixed = [];
    state.open = [];
    state.position = -1;
    state.edits = [];
    state.way = [];
    state.search = '';
    state.tab = 'overview';
    state.side = 'overview';
    state.beside = false;
    state.choosing = false;
  });
}
