// The overview's wire form as a tree: modules within modules, each with its weights and operations in the program's order.
// A backward operation belongs to the row of the forward one it differentiates, the optimizer's to the weight it updates.

import { plain, type Overview } from './api';
import { nest } from './OverviewNest';

export interface OperationNode {
  /** Its place in the program's order, views left out. */
  readonly at: number;
  readonly number: number;
  readonly name: string;
  /** 0 forward, 1 backward, 2 optimizer. */
  readonly phase: number;
  readonly path: string;
  readonly source: string;
  /** Numbers of addresses. */
  readonly outputs: readonly number[];
  readonly operands: readonly number[];
}

export interface WeightNode {
  readonly kind: 'weight';
  readonly id: string;
  readonly address: number;
  readonly gradient: number;
  readonly renewed: number;
  readonly steps: OperationNode[];
  /** parameter, buffer or input */
  readonly source: string;
}

export interface RowNode {
  readonly kind: 'operation';
  readonly id: string;
  readonly forward: OperationNode | undefined;
  readonly backward: OperationNode[];
  readonly optimizer: OperationNode | undefined;
}

export interface ModuleNode {
  readonly kind: 'module';
  readonly id: string;
  readonly path: string;
  /** Its name among its neighbours; a list of modules that does nothing itself is part of the names of its members. */
  label: string;
  readonly out: number;
  readonly gradient: number;
  readonly sizeOut: number | null;
  readonly sizeGradient: number | null;
  readonly parameterCount: number;
  readonly counts: number[];
  items: Item[];
  /** Where its first operation stands in the program. */
  first: number;
  /** The same number in modules that are alike but for their name. */
  likeness: number;
}

export interface GroupNode {
  readonly kind: 'group';
  readonly id: string;
  readonly label: string;
  readonly members: readonly ModuleNode[];
}

export type Item = ModuleNode | GroupNode | WeightNode | RowNode;

export interface OverviewModel {
  readonly root: ModuleNode;
  readonly wire: Overview;
  readonly operations: readonly OperationNode[];
  /** Number of an address -> the operation that made it. */
  readonly maker: ReadonlyMap<number, OperationNode>;
  /** Number of an address -> the operations that read it. */
  readonly readers: ReadonlyMap<number, readonly OperationNode[]>;
  readonly addressNumber: ReadonlyMap<string, number>;
  /** Id of an item -> the ids around it, outermost first. */
  readonly around: ReadonlyMap<string, readonly string[]>;
  /** Operation -> the id of its row. */
  readonly rowOf: ReadonlyMap<number, string>;
  /** What the model calls the axes of a name: scores -> BHTS. */
  readonly axes: ReadonlyMap<string, string>;
  /** Where the phases begin in the program's order: forward, backward, optimizer, end. */
  readonly phases: readonly number[];
}

export function overviewModel(wire: Overview, title = 'The model'): OverviewModel {
  const { operations: columns } = wire;
  const operations: OperationNode[] = columns.number.map((operationNumber, at) => ({
    at,
    number: operationNumber,
    name: wire.names[columns.name[at] ?? 0] ?? '',
    phase: columns.phase[at] ?? 0,
    path: wire.paths[columns.path[at] ?? 0] ?? '',
    source: wire.sources[columns.source[at] ?? 0] ?? '',
    outputs: columns.outputs[at] ?? [],
    operands: columns.operands[at] ?? [],
  }));
  const addressNumber = new Map(wire.addresses.map((address, n) => [address, n]));
  const maker = new Map<number, OperationNode>();
  const readers = new Map<number, OperationNode[]>();
  for (const operation of operations) {
    for (const out of operation.outputs) maker.set(out, operation);
    for (const operand of operation.operands) {
      const known = readers.get(operand);
      if (known) known.push(operation);
      else readers.set(operand, [operation]);
    }
  }
  const root = tree(wire, operations, addressNumber, readers);
  root.label = title;
  const around = new Map<string, readonly string[]>();
  const rowOf = new Map<number, string>();
  index(root.items, [root.id], around, rowOf);
  around.set(root.id, []);
  const begins = (phase: number) => {
    const found = operations.findIndex((one) => one.phase >= phase);
    return found < 0 ? operations.length : found;
  };
  return { root, wire, operations, maker, readers, addressNumber, around, rowOf, axes: new Map(wire.axes.map((one) => one.split(' ') as [string, string])), phases: [0, begins(1), begins(2), operations.length] };
}

function tree(wire: Overview, operations: readonly OperationNode[], addressNumber: ReadonlyMap<string, number>, readers: ReadonlyMap<number, readonly OperationNode[]>): ModuleNode {
  const modules = new Map<string, ModuleNode>();
  const weights = new Map<string, WeightNode>();
  for (const one of wire.modules) {
    const node: ModuleNode = {
      kind: 'module',
      id: one.path === '' ? '.' : one.path,
      path: one.path,
      label: one.path.slice(one.path.lastIndexOf('.') + 1),
      out: one.out[0] ?? -1,
      gradient: one.gradient[0] ?? -1,
      sizeOut: plain(one.size_out),
      sizeGradient: plain(one.size_gradient),
      parameterCount: one.parameter_count,
      counts: [...one.counts],
      items: [],
      first: Infinity,
      likeness: 0,
    };
    modules.set(one.path, node);
    for (const address of one.parameters) {
      const name = wire.addresses[address] ?? '';
      const weight: WeightNode = {
        kind: 'weight',
        id: `${name}/`,
        address,
        gradient: addressNumber.get(`${name}:grad`) ?? -1,
        renewed: addressNumber.get(`${name}:new`) ?? -1,
        steps: [],
        source: wire.kinds[address] ?? 'parameter',
      };
      weights.set(name, weight);
      node.items.push(weight);
    }
  }
  const root = modules.get('');
  if (!root) throw new Error('the overview has no model in it');
  const top = root;
  wire.kinds.forEach((kind, address) => {
    const name = wire.addresses[address] ?? '';
    if (kind === 'input') top.items.push({ kind: 'weight', id: `${name}/`, address, gradient: addressNumber.get(`${name}:grad`) ?? -1, renewed: -1, steps: [], source: kind });
  });
  placeOperations(wire, operations, modules, weights, top);
  for (const one of wire.modules) {
    // a module that only hands out a part of its weight: it stands before who reads that
    const node = modules.get(one.path);
    const read = one.parameters.flatMap((address) => readers.get(address)?.find((reader) => reader.phase === 0)?.at ?? []);
    if (node && node.first === Infinity && read.length) node.first = Math.min(...read) - 0.5;
  }
  nest(modules);
  return top;
}

/** Put each operation on a row: forward ones open a row, the others go beside what they are about. */
function placeOperations(wire: Overview, operations: readonly OperationNode[], modules: Map<string, ModuleNode>, weights: Map<string, WeightNode>, root: ModuleNode): void {
  const rows = new Map<number, RowNode>();
  const alone = new Map<string, RowNode[]>();
  let weight: WeightNode | undefined;
  operations.forEach((operation, at) => {
    const module = modules.get(operation.path) ?? root;
    const id = `${module.id}/${operation.number}`;
    if (operation.phase === 0) {
      const row: RowNode = { kind: 'operation', id, forward: operation, backward: [], optimizer: undefined };
      rows.set(operation.number, row);
      module.items.push(row);
      module.first = Math.min(module.first, at);
    } else if (operation.phase === 1) {
      const beside = rows.get(wire.operations.forward[at] ?? -1);
      if (beside) beside.backward.push(operation);
      else {
        const row: RowNode = { kind: 'operation', id, forward: undefined, backward: [operation], optimizer: undefined };
        const list = alone.get(module.path);
        if (list) list.push(row);
        else alone.set(module.path, [row]);
      }
    } else {
      const out = wire.addresses[operation.outputs[0] ?? -1];
      if (out !== undefined) weight = weights.get(out.slice(0, out.lastIndexOf(':')));
      if (weight) weight.steps.push(operation);
      else {
        const row: RowNode = { kind: 'operation', id, forward: undefined, backward: [], optimizer: operation };
        root.items.push(row);
      }
    }
  });
  for (const [path, list] of alone) (modules.get(path) ?? root).items.push(...list.reverse());
}

function index(items: readonly Item[], outer: readonly string[], around: Map<string, readonly string[]>, rowOf: Map<number, string>): void {
  for (const item of items) {
    around.set(item.id, outer);
    if (item.kind === 'module') index(item.items, [...outer, item.id], around, rowOf);
    else if (item.kind === 'group') index(item.members, [...outer, item.id], around, rowOf);
    else if (item.kind === 'weight') {
      for (const step of item.steps) {
        rowOf.set(step.at, `${item.id}${step.number}`);
        around.set(`${item.id}${step.number}`, [...outer, item.id]);
      }
    } else {
      for (const operation of [item.forward, ...item.backward, item.optimizer]) if (operation) rowOf.set(operation.at, item.id);
    }
  }
}

/** Return the ids of everything that can be opened. */
export function openable(items: readonly Item[]): string[] {
  return items.flatMap((item) => {
    if (item.kind === 'module') return [item.id, ...openable(item.items)];
    if (item.kind === 'group') return [item.id, ...openable(item.members)];
    return item.kind === 'weight' && item.steps.length ? [item.id] : [];
  });
}

/** Return the row where an address is made, or stands: what to open to see it. */
export function rowOfAddress(model: OverviewModel, address: string): string | undefined {
  const n = model.addressNumber.get(address);
  if (n === undefined) return undefined;
  const made = model.maker.get(n);
  if (made) return model.rowOf.get(made.at);
  if (model.around.has(`${address}/`)) return `${address}/`;
  const reader = model.readers.get(n)?.[0]; // a constant: where it is read
  return reader && model.rowOf.get(reader.at);
}
