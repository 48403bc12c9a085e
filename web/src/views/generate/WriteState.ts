// Where one is in the Write tab: how tokens are drawn, what was chosen by hand, which token is open. All in the address; a
// text is decided by these and the model, so a link writes the same text again.

import { choice, flag, linked, push, real, text, whole, json, type Field } from '../../state/location.svelte';

export const COLOURS = ['none', 'probability', 'entropy', 'temperature'] as const;
export type Colour = (typeof COLOURS)[number];
export const MOST_TOKENS = 1000;

/** Tokens chosen by hand on the way to a text: the number of the new token, and the token. */
export type Path = readonly { readonly t: number; readonly id: number }[];

export function pathText(path: Path): string {
  return path.map(({ t, id }) => `${t}.${id}`).join('-');
}

function readPath(given: string): Path | undefined {
  if (given === '') return [];
  const steps = given.split('-').map((step) => /^(\d{1,4})\.(\d{1,7})$/.exec(step));
  const path = steps.map((found) => ({ t: Number(found?.[1] ?? NaN), id: Number(found?.[2] ?? NaN) }));
  const isGood = path.every(({ t }, i) => !Number.isNaN(t) && t > (path[i - 1]?.t ?? -1));
  return isGood ? path : undefined;
}
const pathField: Field<Path> = { initial: [], read: readPath, write: pathText };
const treeField: Field<readonly Path[]> = {
  initial: [],
  read: (given) => {
    const paths = given.split('_').map(readPath);
    return paths.every((path) => path?.length) ? (paths as Path[]) : undefined;
  },
  write: (paths) => paths.map(pathText).join('_'),
};
const areStrings = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((one) => typeof one === 'string' && one !== '');

export const FIELDS = {
  /** Whether the text has been asked for. */
  written: flag(),
  /** A number, a formula of t and n, or points of a curve. */
  temperature: text('0.8'),
  topk: whole(0, 0, 1_000_000), // 0: off
  topp: real(0.95, 0, 1), // 1: off
  minp: real(0, 0, 1), // 0: off
  penalty: real(1, 0.01, 100), // 1: off
  seed: whole(0, 0, 2 ** 32 - 1),
  max: whole(120, 1, MOST_TOKENS),
  stop: json<readonly string[]>([], areStrings),
  colour: choice(COLOURS, 'probability'),
  settings: flag(),
  /** Which token is open, of which model; -1: none. */
  token: whole(-1, -1, MOST_TOKENS),
  column: whole(0, 0, 3),
  /** Which stage of its drawing is shown; -1: the last. */
  stage: whole(-1, -1, 9),
  /** The branches of each model's text, and the one that is shown. */
  tree: treeField, tree2: treeField, tree3: treeField, tree4: treeField,
  path: pathField, path2: pathField, path3: pathField, path4: pathField,
}; // prettier-ignore

export const at = linked(FIELDS);

const TREES = ['tree', 'tree2', 'tree3', 'tree4'] as const;
const PATHS = ['path', 'path2', 'path3', 'path4'] as const;

export function treeOf(column: number): readonly Path[] {
  return at[TREES[column] ?? 'tree'];
}
export function pathOf(column: number): Path {
  return at[PATHS[column] ?? 'path'];
}

/** Show another branch; Back returns. */
export function showPath(column: number, path: Path): void {
  push(() => (at[PATHS[column] ?? 'path'] = path));
}

/** Put another token at a place of the text that is shown: a branch, unless there is one like it. */
export function branch(column: number, t: number, id: number): void {
  const path = [...pathOf(column).filter((step) => step.t < t), { t, id }];
  const tree = treeOf(column);
  push(() => {
    if (!tree.some((one) => pathText(one) === pathText(path))) at[TREES[column] ?? 'tree'] = [...tree, path];
    at[PATHS[column] ?? 'path'] = path;
    at.column = column;
    at.token = t;
  });
}

/** Take a branch off the tree, and what grew on it. */
export function prune(column: number, path: Path): void {
  const cut = pathText(path);
  const isOnIt = (one: Path): boolean => pathText(one) === cut || pathText(one).startsWith(`${cut}-`);
  push(() => {
    at[TREES[column] ?? 'tree'] = treeOf(column).filter((one) => !isOnIt(one));
    if (isOnIt(pathOf(column))) at[PATHS[column] ?? 'path'] = path.slice(0, -1);
  });
}

/** Branches are of one text: another prompt, model or setting begins a new tree. */
export function forgetBranches(): void {
  for (const name of TREES) at[name] = [];
  for (const name of PATHS) at[name] = [];
  at.token = -1;
}

/** Open a token, or close it (-1); Back returns from the first that was opened. */
export function openToken(column: number, t: number): void {
  const change = (): void => {
    at.column = column;
    at.token = t;
  };
  if ((at.token < 0) !== (t < 0)) push(change);
  else change();
}
