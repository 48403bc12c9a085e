// Where the units of a small network stand in the drawing, and how one walks through it with the arrow keys.

import { at, type Pick, type Shape, type Unit, type Weight } from '../views/playground/shape';
import { isWeight } from '../views/playground/shape';

const LEFT = 30;
const RIGHT = 74;
const TOP = 20;
const BOTTOM = 24;

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly radius: number;
  x(layer: number): number;
  y(unit: Unit): number;
}

/** Return the places in a drawing as wide as there is room: one unit of the drawing is one pixel. */
export function layoutOf({ sizes, last }: Shape, room: number): Layout {
  const width = Math.max(300, Math.min(760, room));
  const height = width < 480 ? 330 : 372;
  const most = Math.max(...sizes);
  const gap = Math.min(96, (height - TOP - BOTTOM) / most);
  return {
    width,
    height,
    radius: Math.min(width < 480 ? 17 : 23, gap * 0.42),
    x: (layer) => LEFT + (layer * (width - LEFT - RIGHT)) / last,
    y: ({ layer, unit }) => TOP + (height - TOP - BOTTOM) / 2 + (unit - (at(sizes, layer) + 1) / 2) * gap,
  };
}

/** Return an edge's path: a calm S from the unit read to the unit that reads; and the place `t` of the way along it. */
export function edgePath(layout: Layout, weight: Weight): { path: string; along: (t: number) => readonly [number, number] } {
  const { radius } = layout;
  const [x0, y0] = [layout.x(weight.layer - 1) + radius, layout.y({ layer: weight.layer - 1, unit: weight.source ?? 1 })];
  const [x1, y1] = [layout.x(weight.layer) - radius, layout.y(weight)];
  const bend = (x1 - x0) * 0.42;
  const along = (t: number) => {
    const s = 1 - t;
    const mix = (a: number, b: number, c: number, d: number) => s * s * s * a + 3 * s * s * t * b + 3 * s * t * t * c + t * t * t * d;
    return [mix(x0, x0 + bend, x1 - bend, x1), mix(y0, y0, y1, y1)] as const;
  };
  return { path: `M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`, along };
}

/** Return what an arrow key leads to: up and down among equals, left and right along the data's way. */
export function neighbour(shape: Shape, from: Pick, key: string): Pick | undefined {
  const { sizes, last } = shape;
  const step = key === 'ArrowUp' ? -1 : 1;
  if (!isWeight(from)) {
    const { layer, unit } = from;
    if (key === 'ArrowLeft') return layer > 0 ? { layer, unit, source: 1 } : undefined;
    if (key === 'ArrowRight') return layer < last ? { layer: layer + 1, unit: 1, source: unit } : undefined;
    const next = unit + step;
    return next >= 1 && next <= at(sizes, layer) ? { layer, unit: next } : undefined;
  }
  if (key === 'ArrowLeft') return from.source === null ? { layer: from.layer, unit: from.unit } : { layer: from.layer - 1, unit: from.source };
  if (key === 'ArrowRight') return { layer: from.layer, unit: from.unit };
  const reads = at(sizes, from.layer - 1) + 1;
  const index = (from.unit - 1) * reads + (from.source ?? reads) - 1 + step;
  if (index < 0 || index >= reads * at(sizes, from.layer)) return undefined;
  const source = (index % reads) + 1;
  return { layer: from.layer, unit: Math.floor(index / reads) + 1, source: source === reads ? null : source };
}
