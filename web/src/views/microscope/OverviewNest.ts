// Modules put into the modules around them: in the program's order, lists that do nothing themselves left out, and a row of
// numbered modules that are alike as one group, "blocks 0 to 11".

import type { Item, ModuleNode } from './OverviewModel';

const ALIKE_FROM = 3;

/** Put modules into the modules around them, in the program's order; a list that does nothing itself is left out. */
export function nest(modules: Map<string, ModuleNode>): void {
  const paths = [...modules.keys()].filter((path) => path !== '').sort((a, b) => b.split('.').length - a.split('.').length);
  for (const path of paths) {
    const node = modules.get(path);
    const parent = modules.get(path.includes('.') ? path.slice(0, path.lastIndexOf('.')) : '');
    if (!node || !parent) continue;
    finish(node);
    parent.first = Math.min(parent.first, node.first);
    const isOnlyAList = node.out < 0 && node.items.length > 0 && node.items.every((item) => item.kind === 'module' || item.kind === 'group');
    if (isOnlyAList) {
      for (const item of node.items) {
        for (const one of item.kind === 'group' ? item.members : item.kind === 'module' ? [item] : []) one.label = `${node.label}.${one.label}`;
        parent.items.push(item.kind === 'group' ? { ...item, label: `${node.label} ${item.label}` } : item);
      }
    } else parent.items.push(node);
  }
  const root = modules.get('');
  if (root) finish(root);
}

function rank(item: Item): number {
  if (item.kind === 'weight') return item.source === 'buffer' ? -1 : -2;
  if (item.kind === 'module') return item.first;
  if (item.kind === 'group') return item.members[0]?.first ?? Infinity;
  return item.forward?.at ?? Infinity;
}

const interned = new Map<string, number>();

function intern(text: string): number {
  const known = interned.get(text) ?? interned.size + 1;
  interned.set(text, known);
  return known;
}

function finish(node: ModuleNode): void {
  node.items = grouped(node.items.map((item, n) => ({ item, n })).sort((a, b) => rank(a.item) - rank(b.item) || a.n - b.n).map(({ item }) => item), node.path);
  const inside = node.items.map((item) => {
    if (item.kind === 'module') return `${item.label}=${item.likeness}`;
    if (item.kind === 'group') return `${item.label}=${item.members[0]?.likeness ?? 0}*`;
    return item.kind === 'operation' ? (item.forward?.name ?? '') : item.source;
  });
  node.likeness = intern(`${node.parameterCount} ${inside.filter(Boolean).join(' ')}`);
}

/** Put modules that follow each other, are numbered and look alike together: blocks 0 to 11. */
function grouped(items: readonly Item[], path: string): Item[] {
  const found: Item[] = [];
  let alike: ModuleNode[] = [];
  const close = () => {
    const first = alike[0];
    const last = alike.at(-1);
    if (first && last && alike.length >= ALIKE_FROM) {
      const stem = first.label.slice(0, first.label.lastIndexOf('.') + 1);
      const of = (label: string) => label.slice(label.lastIndexOf('.') + 1);
      const id = `${path}${path ? '.' : ''}${first.label}~${of(last.label)}`;
      found.push({ kind: 'group', id, label: `${stem ? `${stem.slice(0, -1)} ` : ''}${of(first.label)} to ${of(last.label)}`, members: alike });
    } else found.push(...alike);
    alike = [];
  };
  for (const item of items) {
    if (item.kind === 'module' && /(^|\.)\d+$/.test(item.label)) {
      if (alike[0] && (alike[0].likeness !== item.likeness || alike[0].label.replace(/\d+$/, '') !== item.label.replace(/\d+$/, ''))) close();
      alike.push(item);
    } else {
      close();
      found.push(item);
    }
  }
  close();
  return found;
}
