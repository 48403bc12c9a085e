// Which rows the overview shows where: one list from top to bottom, of which only the part in sight is drawn, and the
// boxes that open modules draw around their rows.

import type { ModuleNode, OperationNode, OverviewModel, WeightNode } from './OverviewModel';

/** Something in one of the three lanes that leads to a tensor. */
export interface Cell {
  /** Number of an address; -1: the operation made no tensor with a name. */
  readonly address: number;
  /** The operation that made it, if it is one's row. */
  readonly operation: OperationNode | undefined;
  readonly text: string;
  readonly shape: string;
  /** Operation's short name, "" where the text says it. */
  readonly by: string;
}

export type RowKind = 'module' | 'group' | 'weight' | 'operation' | 'step';

export interface Row {
  readonly kind: RowKind;
  readonly id: string;
  readonly label: string;
  readonly depth: number;
  readonly top: number;
  readonly canOpen: boolean;
  readonly isOpen: boolean;
  /** Forward, backward, optimizer. */
  readonly cells: readonly [Cell | undefined, Cell | undefined, Cell | undefined];
  readonly parent: number;
  readonly module: ModuleNode | undefined;
  /** Of a module: the usual size of what it returned and of its gradient; of a group: what comes out below, and above. */
  readonly sizes: readonly (number | null)[];
  /** How many modules a group's row stands for. */
  readonly members: number;
  /** Further lines of a row whose forward operation has several backward ones. */
  readonly isMore: boolean;
}

export interface Box {
  readonly id: string;
  readonly depth: number;
  readonly top: number;
  readonly bottom: number;
}

export interface Layout {
  readonly rows: readonly Row[];
  readonly boxes: readonly Box[];
  readonly height: number;
  /** Id of a row -> its place in the list; of a row of several lines the first. */
  readonly place: ReadonlyMap<string, number>;
}

/** Room below the last row of an open module. */
const FOOT = 8;

/** Lay the rows out that have something to show in one of the lanes. */
export function layout(model: OverviewModel, open: ReadonlySet<string>, rowHeight: number, lanes: readonly number[]): Layout {
  const rows: Row[] = [];
  const boxes: Box[] = [];
  const place = new Map<string, number>();
  let top = 0;

  const add = (row: Omit<Row, 'top' | 'isMore' | 'canOpen' | 'isOpen' | 'module' | 'members' | 'sizes'> & Partial<Row>): number => {
    const { isMore = false } = row;
    const isHead = row.kind === 'module' || row.kind === 'group';
    if (!isHead && !lanes.some((lane) => row.cells[lane])) return row.parent;
    if (!place.has(row.id)) place.set(row.id, rows.length);
    rows.push({ canOpen: false, isOpen: false, module: undefined, members: 1, sizes: [], ...row, isMore, top });
    top += rowHeight;
    return rows.length - 1;
  };
  const tensor = (address: number, path: string, operation?: OperationNode): Cell | undefined => (address < 0 ? undefined : { address, operation, ...said(model, address, path, operation) });
  const made = (operation: OperationNode | undefined, path: string): Cell | undefined =>
    operation && (tensor(operation.outputs[0] ?? -1, path, operation) ?? { address: -1, operation, text: '', shape: '', by: shortName(operation.name) });

  const walkWeight = (weight: WeightNode, path: string, depth: number, parent: number): void => {
    const last = weight.steps.at(-1);
    const steps = weight.steps.length;
    const isOpen = open.has(weight.id);
    const at = add({
      kind: 'weight',
      id: weight.id,
      label: local(model.wire.addresses[weight.address] ?? '', path),
      depth,
      parent,
      canOpen: steps > 0,
      isOpen,
      cells: [tensor(weight.address, path), tensor(weight.gradient, path), tensor(weight.renewed, path, last)],
    });
    if (isOpen) {
      for (const step of weight.steps) {
        add({ kind: 'step', id: `${weight.id}${step.number}`, label: '', depth: depth + 1, parent: at, cells: [undefined, undefined, made(step, path)] });
      }
    }
  };

  const walk = (node: ModuleNode, depth: number, parent: number): void => {
    const isOpen = node === model.root || open.has(node.id);
    const begins = top;
    const at = add({
      kind: 'module',
      id: node.id,
      label: node.label,
      depth,
      parent,
      canOpen: node !== model.root && node.items.length > 0,
      isOpen,
      module: node,
      sizes: [node.sizeOut, node.sizeGradient],
      cells: [tensor(node.out, node.path), tensor(node.gradient, node.path), undefined],
    });
    if (!isOpen) return;
    for (const item of node.items) {
      if (item.kind === 'module') walk(item, depth + 1, at);
      else if (item.kind === 'weight') walkWeight(item, node.path, depth + 1, at);
      else if (item.kind === 'group') {
        const groupOpen = open.has(item.id);
        const groupTop = top;
        const first = item.members[0];
        const last = item.members.at(-1);
        const group = add({
          kind: 'group',
          id: item.id,
          label: item.label,
          depth: depth + 1,
          parent: at,
          canOpen: true,
          isOpen: groupOpen,
          module: first,
          members: item.members.length,
          sizes: [last?.sizeOut ?? null, first?.sizeGradient ?? null],
          cells: [last && tensor(last.out, last.path), first && tensor(first.gradient, first.path), undefined],
        });
        if (groupOpen) {
          for (const member of item.members) walk(member, depth + 2, group);
          top += FOOT;
          boxes.push({ id: item.id, depth: depth + 1, top: groupTop, bottom: top });
        }
      } else {
        const lines = Math.max(1, item.backward.length);
        for (let line = 0; line < lines; line += 1) {
          add({
            kind: 'operation',
            id: item.id,
            label: '',
            depth: depth + 1,
            parent: at,
            isMore: line > 0,
            cells: [line === 0 ? made(item.forward, node.path) : undefined, made(item.backward[lines - 1 - line], node.path), line === 0 ? made(item.optimizer, node.path) : undefined],
          });
        }
      }
    }
    top += FOOT;
    boxes.push({ id: node.id, depth, top: begins, bottom: top });
  };

  walk(model.root, 0, -1);
  boxes.sort((a, b) => a.depth - b.depth || a.top - b.top);
  return { rows, boxes, height: top, place };
}

/** Return an operation's name as people say it: `mm`, `softmax`. */
export function shortName(name: string): string {
  const short = name.slice(0, name.includes('.') ? name.indexOf('.') : undefined);
  return short.replace(/^_+|_+$/g, '');
}

/** Return an address without the module it is in. */
export function local(address: string, path: string): string {
  if (!path) return address;
  if (address.startsWith(`${path}:`) || address.startsWith(`${path}.`)) return address.slice(path.length).replace(/^[.:]/, '');
  return address;
}

function said(model: OverviewModel, address: number, path: string, operation: OperationNode | undefined): { text: string; shape: string; by: string } {
  const whole = model.wire.addresses[address] ?? '';
  const shape = shapeText(model, whole, model.wire.shapes[address] ?? []);
  if (!operation) return { text: local(whole, path), shape, by: '' };
  const name = shortName(operation.name);
  const between = /:(?:backward|update)\.(.*)$/.exec(whole);
  const near = between?.[1] ?? local(whole, path);
  if (near === name || near.startsWith(`${name}#`)) return { text: near.slice(name.length), shape, by: name };
  if (between) return { text: '', shape, by: near };
  // a name that lies further out, or in another module: its last two parts say enough
  const short = near === whole && path ? near.split('.').slice(-2).join('.') : near;
  return { text: short, shape, by: name };
}

/** Return a shape as text, with the letters of the axes where the model says them: `B1 T11 C64`, else `1×11×64`. */
export function shapeText(model: OverviewModel, address: string, shape: readonly number[]): string {
  const [value = '', rest = ''] = address.split(':');
  const field = value.slice(value.lastIndexOf('.') + 1).split('#')[0] ?? '';
  const letters = rest === '' || rest === 'grad' ? model.axes.get(field) : undefined;
  return letters?.length === shape.length ? shape.map((size, n) => `${letters[n]}${size}`).join(' ') : shape.join('×');
}

/** Return the first row that ends below a height. */
export function rowAt(rows: readonly Row[], y: number, rowHeight: number): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rows[middle]?.top ?? 0) + rowHeight <= y) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Return the row that shows an item, or the nearest module around it that is shown. */
export function visiblePlace(model: OverviewModel, shown: Layout, id: string): number {
  const own = shown.place.get(id);
  if (own !== undefined) return own;
  const around = model.around.get(id) ?? [];
  for (let n = around.length - 1; n >= 0; n -= 1) {
    const place = shown.place.get(around[n] ?? '');
    if (place !== undefined) return place;
  }
  return 0;
}
