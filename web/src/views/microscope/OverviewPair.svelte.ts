// Two overviews next to each other: what is the same in both stands at the same height and opens together.

import type { Layout, Row } from './OverviewLayout';
import { openable, type OverviewModel } from './OverviewModel';

/** How far both are scrolled. */
export class Together {
  top = $state(0);
}

const members = /~\d+$/; // of a group, blocks.0~11: which is its last one differs between models of different depth

/** Return what is open in a model, of ids that may be another model's. */
export function openIn(model: OverviewModel, ids: readonly string[]): ReadonlySet<string> {
  const all = openable(model.root.items);
  if (ids.includes('*')) return new Set(all);
  const groups = new Map(all.filter((id) => members.test(id)).map((id) => [id.replace(members, '~'), id]));
  return new Set(ids.flatMap((id) => [id, groups.get(id.replace(members, '~')) ?? id]));
}

/** Return what is to be open in both after a module of one was opened or closed. */
export function toggled(models: readonly OverviewModel[], ids: readonly string[], id: string, isOpen: boolean): string[] {
  const now = new Set(ids.includes('*') ? models.flatMap((model) => openable(model.root.items)) : ids);
  const same = (one: string) => one === id || (members.test(id) && one.replace(members, '~') === id.replace(members, '~'));
  for (const one of [...now]) if (same(one)) now.delete(one);
  if (!isOpen) now.add(id);
  return [...now];
}

/** Return a name for each row that the same row of another model has too. */
function names(rows: readonly Row[]): string[] {
  const found: string[] = [];
  const seen = new Map<number, number>();
  let line = 0;
  rows.forEach((row, at) => {
    if (row.kind === 'module' || row.kind === 'group' || row.kind === 'weight') found.push(row.id.replace(members, '~'));
    else if (row.isMore) found.push(`${found[at - 1 - line] ?? ''}+${++line}`);
    else {
      const n = (seen.get(row.parent) ?? 0) + 1; // operations have no names: they are told by their order
      seen.set(row.parent, n);
      found.push(`${found[row.parent] ?? ''} ${n}`);
    }
    if (!row.isMore) line = 0;
  });
  return found;
}

export interface Paired extends Layout {
  /** Places of rows that the other does not have. */
  readonly alone: ReadonlySet<number>;
}

/** Move the rows of two layouts down so far that those of the same name stand beside each other. */
export function paired(here: Layout, there: Layout): readonly [Paired, Paired] {
  const [mine, others] = [names(here.rows), names(there.rows)];
  const placeThere = new Map(others.map((name, at) => [name, at]));
  const down: [number[], number[]] = [[], []]; // by how much each row moves
  const met: [Set<number>, Set<number>] = [new Set(), new Set()];
  let [shiftHere, shiftThere, next] = [0, 0, 0];
  here.rows.forEach((row, at) => {
    const beside = placeThere.get(mine[at] ?? '');
    const other = beside === undefined || beside < next ? undefined : there.rows[beside];
    if (other && beside !== undefined) {
      for (; next < beside; next += 1) down[1].push(shiftThere);
      const top = Math.max(row.top + shiftHere, other.top + shiftThere);
      [shiftHere, shiftThere] = [top - row.top, top - other.top];
      down[1].push(shiftThere);
      next += 1;
      met[0].add(at);
      met[1].add(beside);
    }
    down[0].push(shiftHere);
  });
  for (; next < there.rows.length; next += 1) down[1].push(shiftThere);
  const height = Math.max(here.height + shiftHere, there.height + shiftThere);
  return [moved(here, down[0], met[0], height), moved(there, down[1], met[1], height)];
}

function moved(layout: Layout, down: readonly number[], met: ReadonlySet<number>, height: number): Paired {
  const rows = layout.rows.map((row, at) => (down[at] ? { ...row, top: row.top + down[at] } : row));
  /** By how much the last row above a height moved. */
  const above = (y: number): number => {
    let [low, high] = [0, layout.rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((layout.rows[middle]?.top ?? 0) < y) low = middle + 1;
      else high = middle;
    }
    return down[low - 1] ?? 0;
  };
  const boxes = layout.boxes.map((box) => ({ ...box, top: box.top + (down[layout.place.get(box.id) ?? 0] ?? 0), bottom: box.bottom + above(box.bottom) }));
  return { ...layout, rows, boxes, height, alone: new Set(rows.flatMap((_, at) => (met.has(at) ? [] : [at]))) };
}

/** Return up to where the data has flowed in another trace: the same operation where both have as many, else the same share. */
export function flowed(position: number, of: OverviewModel, to: OverviewModel): number {
  return position < 0 ? -1 : Math.round(((position + 1) * to.operations.length) / Math.max(1, of.operations.length)) - 1;
}
