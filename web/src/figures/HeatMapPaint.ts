// The colours of a heat map, as pixels. Numbers become codes (a row of the colour table, or a kind of non-number) once for a
// scale, codes become pixels for each picture. Where several cells share a pixel they are pooled first, over the whole
// block, so that no number is skipped: one NaN among a million cells is seen.

import { scaleTable, STEPS } from '../lib/colors';
import type { Frame } from './HeatMapView';

export type Cells = Float64Array | Float32Array | Int32Array | Uint8Array;
export type Pooling = 'mean' | 'min' | 'max' | 'largest';

/** Numbers of a part of the plane: of each cell, or of pools of cells, as the lab made them. */
export interface Block {
  /** The first cell. */
  readonly row: number;
  readonly column: number;
  /** How many cells of the plane it covers. */
  readonly rows: number;
  readonly columns: number;
  /** How many cells stand behind one number; 1: each its own. */
  readonly rowStep: number;
  readonly columnStep: number;
  /** Row after row. */
  readonly values: Cells;
}

export interface Scale {
  /** The size of number that gets the strongest colour. */
  readonly largest: number;
  /** Whether small numbers are told apart by their order of magnitude. */
  readonly isLog: boolean;
}

export const NAN = 2 * STEPS + 1;
export const PLUS_INF = NAN + 1;
export const MINUS_INF = NAN + 2;
const LOG_DECADES = 3;

/** Return which share of the scale a number is at, -1 to 1 (or beyond). */
export function share(value: number, { largest, isLog }: Scale): number {
  if (!(largest > 0)) return 0;
  if (!isLog) return value / largest;
  const near = largest / 10 ** LOG_DECADES;
  return (Math.sign(value) * Math.log1p(Math.abs(value) / near)) / Math.log1p(largest / near);
}

/** Return the number at a share of the scale: `share`, turned around. */
export function unshare(at: number, { largest, isLog }: Scale): number {
  if (!isLog) return at * largest;
  const near = largest / 10 ** LOG_DECADES;
  return Math.sign(at) * near * Math.expm1(Math.abs(at) * Math.log1p(largest / near));
}

/** Return the code of a number. */
export function code(value: number, scale: Scale): number {
  if (Number.isNaN(value)) return NAN;
  if (value === Infinity) return PLUS_INF;
  if (value === -Infinity) return MINUS_INF;
  return Math.round(Math.min(1, Math.max(-1, share(value, scale))) * STEPS) + STEPS;
}

export interface Pooled {
  readonly values: Cells;
  readonly width: number;
  readonly height: number;
}

/** Return a block with `down` x `across` numbers pooled into one. */
export function pool(block: Block, down: number, across: number, how: Pooling): Pooled {
  const width = Math.ceil(block.columns / block.columnStep);
  const height = Math.ceil(block.rows / block.rowStep);
  if (down === 1 && across === 1) return { values: block.values, width, height };
  const wide = Math.ceil(width / across);
  const high = Math.ceil(height / down);
  const sums = new Float64Array(wide);
  const values = new Float32Array(wide * high);
  const from = block.values;
  for (let r = 0; r < high; r += 1) {
    const last = Math.min(height, (r + 1) * down);
    sums.fill(how === 'min' ? Infinity : how === 'max' ? -Infinity : 0);
    for (let y = r * down; y < last; y += 1) {
      let at = y * width;
      for (let c = 0; c < wide; c += 1) {
        const end = y * width + Math.min(width, (c + 1) * across);
        let sum = sums[c]!;
        if (how === 'mean') for (; at < end; at += 1) sum += from[at]!;
        else if (how === 'min') for (; at < end; at += 1) sum = Math.min(sum, from[at]!);
        else if (how === 'max') for (; at < end; at += 1) sum = Math.max(sum, from[at]!);
        else for (; at < end; at += 1) sum = larger(sum, from[at]!);
        sums[c] = sum;
      }
    }
    for (let c = 0; c < wide; c += 1) {
      const n = (last - r * down) * (Math.min(width, (c + 1) * across) - c * across);
      values[r * wide + c] = how === 'mean' ? sums[c]! / n : sums[c]!;
    }
  }
  return { values, width: wide, height: high };
}

function larger(a: number, b: number): number {
  return Number.isNaN(b) || Math.abs(b) > Math.abs(a) ? b : a;
}

/** Return the codes of numbers. */
export function codes(values: Cells, scale: Scale): Uint16Array {
  const found = new Uint16Array(values.length);
  if (scale.isLog && values instanceof Float32Array) {
    // the upper half of a float (sign, exponent, 7 bits) says more than the colour table can show: 65,536 logarithms do
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    const table = halves(scale);
    for (let i = 0; i < found.length; i += 1) found[i] = table[bits[i]! >>> 16]!;
    return found;
  }
  if (scale.isLog) {
    for (let i = 0; i < found.length; i += 1) found[i] = code(values[i]!, scale);
    return found;
  }
  const factor = scale.largest > 0 ? STEPS / scale.largest : 0;
  const end = 2 * STEPS + 0.5;
  for (let i = 0; i < found.length; i += 1) {
    const value = values[i]!;
    const at = value * factor + (STEPS + 0.5);
    if (at >= 0 && at <= end) found[i] = at;
    else if (at - at === 0) found[i] = at < 0 ? 0 : 2 * STEPS;
    else found[i] = code(value, scale);
  }
  return found;
}

function halves(scale: Scale): Uint16Array {
  const float = new Float32Array(1);
  const bits = new Uint32Array(float.buffer);
  const table = new Uint16Array(65536);
  for (let i = 0; i < 65536; i += 1) {
    const isSpecial = (i & 0x7f80) === 0x7f80;
    bits[0] = (i << 16) | (isSpecial ? 0 : 0x8000);
    table[i] = code(float[0]!, scale);
  }
  return table;
}

const isLittle = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** Return a colour as a pixel of ImageData. */
export function pixel(red: number, green: number, blue: number): number {
  return (isLittle ? (255 << 24) | (blue << 16) | (green << 8) | red : (red << 24) | (green << 16) | (blue << 8) | 255) >>> 0;
}

/** Return the colour table as pixels. */
export function colorTable(): Uint32Array {
  const bytes = scaleTable();
  const table = new Uint32Array(NAN);
  for (let i = 0; i < NAN; i += 1) table[i] = pixel(bytes[3 * i]!, bytes[3 * i + 1]!, bytes[3 * i + 2]!);
  return table;
}

/** Return the pixel of what is not a finite number, at a place of the picture: stripes, a direction for each kind. */
export function stripe(kind: number, x: number, y: number, table: Uint32Array, isDark: boolean): number {
  const strong = isDark ? pixel(10, 10, 12) : pixel(28, 30, 36);
  if (kind === NAN) return ((x + y) >> 1) & 1 ? strong : pixel(200, 195, 185);
  if (kind === PLUS_INF) return (x >> 1) & 1 ? strong : table[2 * STEPS]!;
  return (y >> 1) & 1 ? strong : table[0]!;
}

/** Return a whole number not less than `least`, one of few, so that zooming does not pool anew at every step. */
function few(least: number): number {
  const doubled = 2 ** Math.max(0, Math.ceil(Math.log2(least / 8)));
  return Math.max(1, Math.ceil(least / doubled - 1e-9)) * doubled;
}

/** Paints one block; remembers what it pooled and coded. */
export class Painter {
  private pooled = new Map<string, Pooled>();
  private coded = new Map<string, Uint16Array>();
  private said = '';

  constructor(
    readonly block: Block,
    readonly how: Pooling,
  ) {}

  /** Return by how much to pool so that a number gets at least one device pixel. */
  static steps(block: Block, frame: Frame): { down: number; across: number } {
    return { down: few(1 / (block.rowStep * frame.cell.height * frame.ratio)), across: few(1 / (block.columnStep * frame.cell.width * frame.ratio)) };
  }

  paint(image: ImageData, frame: Frame, scale: Scale, table: Uint32Array, isDark: boolean): void {
    const { block } = this;
    const { down, across } = Painter.steps(block, frame);
    const key = `${down}x${across}`;
    let pooled = this.pooled.get(key);
    if (!pooled) this.pooled.set(key, (pooled = pool(block, down, across, this.how)));
    const said = `${scale.largest} ${scale.isLog}`;
    if (said !== this.said) this.coded.clear();
    this.said = said;
    let found = this.coded.get(key);
    if (!found) this.coded.set(key, (found = codes(pooled.values, scale)));

    const left = Math.max(0, frame.x(block.column));
    const right = Math.min(image.width, frame.x(block.column + block.columns));
    const upper = Math.max(0, frame.y(block.row));
    const lower = Math.min(image.height, frame.y(block.row + block.rows));
    if (right <= left || lower <= upper) return;
    const from = new Int32Array(right - left);
    for (let x = left; x < right; x += 1) {
      const at = Math.floor(Math.floor((frame.column(x) - block.column) / block.columnStep) / across);
      from[x - left] = Math.min(pooled.width - 1, Math.max(0, at));
    }
    const pixels = new Uint32Array(image.data.buffer);
    let before = -1;
    let hasSpecial = false;
    for (let y = upper; y < lower; y += 1) {
      const at = Math.floor(Math.floor((frame.row(y) - block.row) / block.rowStep) / down);
      const row = Math.min(pooled.height - 1, Math.max(0, at));
      const start = y * image.width + left;
      if (row === before && !hasSpecial) {
        pixels.copyWithin(start, start - image.width, start - image.width + right - left);
        continue;
      }
      before = row;
      hasSpecial = false;
      const base = row * pooled.width;
      for (let i = 0; i < from.length; i += 1) {
        const at = found[base + from[i]!]!;
        if (at < NAN) pixels[start + i] = table[at]!;
        else {
          hasSpecial = true;
          pixels[start + i] = stripe(at, left + i, y, table, isDark);
        }
      }
    }
  }
}

/** Return the number of a block that stands for a cell, or undefined where it has none. */
export function valueAt(block: Block, row: number, column: number): number | undefined {
  const r = Math.floor((row - block.row) / block.rowStep);
  const c = Math.floor((column - block.column) / block.columnStep);
  const isIn = row >= block.row && column >= block.column && row < block.row + block.rows && column < block.column + block.columns;
  return isIn ? block.values[r * Math.ceil(block.columns / block.columnStep) + c] : undefined;
}
