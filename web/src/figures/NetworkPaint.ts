// The quick part of the network drawing, on canvas: wires, arrowheads, plates of the biases, what units see and say. It is
// painted up to sixty times a second; what is reached, focused and read stands in SVG above it (NetworkDrawing.svelte).

import { scalePlace, scaleTable, signed } from '../lib/colors';
import { at, type Shape, type Unit } from '../views/playground/shape';
import type { Layout } from './network_layout';

export interface Wire {
  /** Position among the parameters. */
  readonly p: number;
  readonly curve: Path2D;
  /** Where its arrowhead stands. */
  readonly x: number;
  readonly y: number;
  readonly isFaint: boolean;
}

export interface Plate {
  readonly p: number;
  readonly x: number;
  readonly y: number;
}

export interface Body extends Unit {
  readonly u: number;
  readonly x: number;
  readonly y: number;
  readonly isFaint: boolean;
}

export interface Numbers {
  readonly parameters: Float64Array;
  readonly gradients: Float64Array;
  readonly activations: Float64Array;
  /** grid x grid answers of every unit that computes; none: units are filled with what they say of the point. */
  readonly maps: Float32Array | undefined;
  readonly mapGrid: number;
}

export interface Look {
  readonly shape: Shape;
  readonly layout: Layout;
  readonly activation: string;
  readonly phase: string;
  /** Colours of the theme. */
  readonly ink: Readonly<Record<'panel' | 'line' | 'backward' | 'optimizer', string>>;
}

/** Return the width of a weight's wire: by its size beside the largest one. */
export function wireWidth(value: number, largest: number): number {
  const share = Math.min(1, Math.abs(value) / largest);
  return Number.isNaN(value) ? 1 : 0.7 + 6.3 * share ** 0.75;
}

/** Return the size that gets the strongest colour and width: at least 1, so that small weights look small. */
export function largestOf(numbers: Float64Array, least: number): number {
  let most = least;
  for (const value of numbers) {
    const size = Math.abs(value);
    if (size > most && size < Infinity) most = size;
  }
  return most;
}

/** Return the colour of what a unit says: for a sigmoid's 0 to 1, 0.5 is the middle. */
export function unitColor(a: number, isProbability: boolean): string {
  return signed(isProbability ? 2 * a - 1 : a, 1);
}

export function paintNetwork(context: CanvasRenderingContext2D, scale: number, look: Look, numbers: Numbers, wires: readonly Wire[], plates: readonly Plate[], bodies: readonly Body[]): void {
  const { layout, phase } = look;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, layout.width, layout.height);
  const largest = largestOf(numbers.parameters, 1);
  const dim = phase === 'loss' ? 0.15 : 1;
  for (const { p, curve, isFaint } of wires) {
    const value = at(numbers.parameters, p);
    context.globalAlpha = (isFaint ? 0.12 : 1) * dim;
    context.strokeStyle = signed(value, largest * 0.7);
    context.lineWidth = wireWidth(value, largest);
    context.setLineDash(value < 0 ? [7, 4] : []);
    context.stroke(curve);
  }
  context.setLineDash([]);
  paintPulls(context, look, numbers, wires);
  for (const { p, x, y } of plates) {
    const value = at(numbers.parameters, p);
    context.globalAlpha = dim;
    context.fillStyle = signed(value, largest * 0.7);
    context.strokeStyle = look.ink.line;
    context.lineWidth = 1;
    context.setLineDash(value < 0 ? [2.5, 1.5] : []);
    context.beginPath();
    context.roundRect(x - 6, y - 2, 12, 8, 2);
    context.fill();
    context.stroke();
  }
  context.setLineDash([]);
  paintUnits(context, look, numbers, bodies);
  context.globalAlpha = 1;
}

/** Arrowheads: which way, and how strongly, the gradient will move each weight. */
function paintPulls(context: CanvasRenderingContext2D, { phase, ink }: Look, { gradients }: Numbers, wires: readonly Wire[]): void {
  const steepest = largestOf(gradients, 1e-12);
  context.fillStyle = phase === 'update' ? ink.optimizer : ink.backward;
  context.strokeStyle = ink.panel;
  context.lineWidth = 0.8;
  for (const { p, x, y, isFaint } of wires) {
    const gradient = at(gradients, p);
    const pull = Math.sqrt(Math.min(1, Math.abs(gradient) / steepest));
    if (!(pull > 0.05)) continue;
    const size = 0.45 + 0.75 * pull;
    const up = gradient < 0 ? 1 : -1;
    context.globalAlpha = isFaint || phase === 'forward' || phase === 'loss' ? 0.12 : 1;
    context.beginPath();
    context.moveTo(x, y - 4.2 * size * up);
    context.lineTo(x + 4.4 * size, y + 3.2 * size * up);
    context.lineTo(x - 4.4 * size, y + 3.2 * size * up);
    context.closePath();
    context.fill();
    context.stroke();
  }
}

let small: CanvasRenderingContext2D | null | undefined;
let image: ImageData | undefined;

function paintUnits(context: CanvasRenderingContext2D, { shape, layout, activation, phase, ink }: Look, { activations, maps, mapGrid }: Numbers, bodies: readonly Body[]): void {
  const table = scaleTable();
  const size = mapGrid * mapGrid;
  small ??= document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  if (small && maps && (small.canvas.width !== mapGrid || !image)) {
    small.canvas.width = small.canvas.height = mapGrid;
    image = new ImageData(mapGrid, mapGrid);
  }
  const r = layout.radius;
  for (const { layer, u, x, y, isFaint } of bodies) {
    const isProbability = layer === shape.last || (layer > 0 && activation === 'sigmoid');
    context.globalAlpha = isFaint ? 0.12 : phase === 'update' ? 0.45 : 1;
    const color = unitColor(at(activations, u), isProbability);
    const isMapped = maps && layer > 0 && small && image;
    if (isMapped) {
      const start = (u - shape.sizes[0]!) * size;
      let most = 1;
      if (activation === 'relu' && !isProbability) for (let i = 0; i < size; i += 1) most = Math.max(most, maps[start + i] ?? 0);
      for (let i = 0; i < size; i += 1) {
        const value = maps[start + i] ?? 0;
        const share = Number.isNaN(value) ? 0 : isProbability ? 2 * value - 1 : value / most;
        const from = 3 * scalePlace(share * 0.85);
        const to = 4 * ((mapGrid - 1 - Math.floor(i / mapGrid)) * mapGrid + (i % mapGrid));
        image!.data[to] = table[from] ?? 0;
        image!.data[to + 1] = table[from + 1] ?? 0;
        image!.data[to + 2] = table[from + 2] ?? 0;
        image!.data[to + 3] = 255;
      }
      small!.putImageData(image!, 0, 0);
      context.save();
      context.beginPath();
      context.arc(x, y, r, 0, 2 * Math.PI);
      context.clip();
      context.drawImage(small!.canvas, x - r, y - r, 2 * r, 2 * r);
      context.restore();
    }
    context.beginPath();
    context.arc(x, y, isMapped ? r * 0.4 : r, 0, 2 * Math.PI);
    context.fillStyle = color;
    context.fill();
    if (isMapped) {
      context.strokeStyle = ink.panel;
      context.lineWidth = 1.5;
      context.stroke();
    }
  }
}
