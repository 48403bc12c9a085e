// What stands on a heat map: indices along its edges, lines between large cells, numbers in them, the cursor.

import { short } from '../lib/numbers';
import { code, valueAt, type Block, type Scale } from './HeatMapPaint';
import { STEPS } from '../lib/colors';
import type { Frame, Plane } from './HeatMapView';

export interface Gutter {
  readonly left: number;
  readonly top: number;
}

export interface Ink {
  readonly ink: string;
  readonly soft: string;
  readonly paper: string;
  readonly accent: string;
  readonly line: string;
  readonly mono: string;
}

/** Return the theme's colours, for a canvas. */
export function inkOf(node: Element): Ink {
  const style = getComputedStyle(node);
  const read = (name: string): string => style.getPropertyValue(name).trim();
  return { ink: read('--ink'), soft: read('--soft'), paper: read('--panel'), accent: read('--accent'), line: read('--strong-line'), mono: read('--mono') || 'monospace' };
}

const NUMBERS_FROM = { width: 46, height: 17 };
const LINES_FROM = 9;

/** Return the indices to write along an edge: every one, or each 2nd, 5th, 10th ... so that there is room for them. */
export function ticks(first: number, last: number, cell: number, room: number): number[] {
  let step = 1;
  for (let i = 0; step * cell < room; i += 1) step = [2, 5, 10][i % 3]! * 10 ** Math.floor(i / 3);
  const found = [];
  for (let i = Math.ceil(first / step) * step; i < last; i += step) found.push(i);
  return found;
}

/** Return how much room the indices or labels need. */
export function gutterOf(plane: Plane, rowLabel?: (i: number) => string, columnLabel?: (i: number) => string): Gutter {
  const longest = (n: number, label: (i: number) => string): number => Math.max(...Array.from({ length: Math.min(n, 512) }, (_, i) => label(i).length));
  const rows = rowLabel ? longest(plane.rows, rowLabel) : String(Math.max(0, plane.rows - 1)).length;
  const columns = columnLabel ? longest(plane.columns, columnLabel) : 1;
  return { left: 12 + 7 * Math.min(10, Math.max(2, rows)), top: 15 + 7 * Math.min(7, columns) };
}

function cut(text: string, letters: number): string {
  return text.length <= letters ? text : `${text.slice(0, Math.max(1, letters - 1))}…`;
}

export function drawIndices(
  to: CanvasRenderingContext2D, frame: Frame, gutter: Gutter, ink: Ink, at: { row: number; column: number } | null,
  rowLabel?: (i: number) => string, columnLabel?: (i: number) => string,
): void {
  const { cell, ratio } = frame;
  const seen = frame.seen();
  to.font = `11.5px ${ink.mono}`;
  to.textBaseline = 'middle';
  to.textAlign = 'right';
  const emphasis = (isAt: boolean): void => {
    to.fillStyle = isAt ? ink.ink : ink.soft;
  };
  for (const row of ticks(seen.row, seen.row + seen.rows, cell.height, 15)) {
    const y = gutter.top + (frame.y(row) + frame.y(row + 1)) / 2 / ratio;
    if (y < gutter.top || y > gutter.top + frame.size.height) continue;
    emphasis(at?.row === row);
    to.fillText(cut(rowLabel?.(row) ?? String(row), 10), gutter.left - 6, y);
  }
  const isUpright = columnLabel !== undefined && cell.width < 46 && cell.width >= 11;
  const digits = String(Math.max(0, frame.plane.columns - 1)).length;
  to.textAlign = isUpright ? 'left' : 'center';
  for (const column of ticks(seen.column, seen.column + seen.columns, cell.width, isUpright || (columnLabel && cell.width >= 46) ? 0 : 12 + 7 * digits)) {
    const x = gutter.left + (frame.x(column) + frame.x(column + 1)) / 2 / ratio;
    if (x < gutter.left || x > gutter.left + frame.size.width) continue;
    emphasis(at?.column === column);
    const label = columnLabel && cell.width >= 11 ? columnLabel(column) : String(column);
    if (isUpright) {
      to.save();
      to.translate(x, gutter.top - 6);
      to.rotate(-Math.PI / 2);
      to.fillText(cut(label, 7), 0, 0);
      to.restore();
    } else to.fillText(cut(label, Math.max(digits, Math.floor(cell.width / 7))), x, gutter.top - 11);
  }
}

/** Lines between cells that are large enough, and the numbers in them. `blocks`: the finest that has the cell is last. */
export function drawCells(
  to: CanvasRenderingContext2D, frame: Frame, gutter: Gutter, blocks: readonly Block[], scale: Scale, table: Uint32Array, ink: Ink, isWhole: boolean,
): void {
  const { cell, ratio } = frame;
  const seen = frame.seen();
  const right = Math.min(frame.size.width, frame.x(seen.column + seen.columns) / ratio);
  const lower = Math.min(frame.size.height, frame.y(seen.row + seen.rows) / ratio);
  to.strokeStyle = ink.line; // zeros have the colour of the paper: the edge says where the cells end
  to.lineWidth = 0.5;
  to.strokeRect(gutter.left - 0.5, gutter.top - 0.5, right + 1, lower + 1);
  if (Math.min(cell.width, cell.height) < LINES_FROM) return;
  to.fillStyle = ink.paper;
  for (let column = seen.column + 1; column <= seen.column + seen.columns; column += 1) to.fillRect(gutter.left + frame.x(column) / ratio - 1, gutter.top, 1, lower);
  for (let row = seen.row + 1; row <= seen.row + seen.rows; row += 1) to.fillRect(gutter.left, gutter.top + frame.y(row) / ratio - 1, right, 1);
  if (cell.width < NUMBERS_FROM.width || cell.height < NUMBERS_FROM.height) return;
  const letters = Math.floor((cell.width - 6) / 6.7);
  to.font = `11px ${ink.mono}`;
  to.textAlign = 'center';
  to.textBaseline = 'middle';
  to.save();
  to.beginPath();
  to.rect(gutter.left, gutter.top, frame.size.width, frame.size.height);
  to.clip();
  for (let row = seen.row; row < seen.row + seen.rows; row += 1) {
    for (let column = seen.column; column < seen.column + seen.columns; column += 1) {
      const block = exact(blocks, row, column);
      if (!block) continue;
      const value = valueAt(block, row, column)!;
      const x = gutter.left + (frame.x(column) + frame.x(column + 1) - ratio) / 2 / ratio;
      const y = gutter.top + (frame.y(row) + frame.y(row + 1)) / 2 / ratio;
      const text = fitted(value, letters, isWhole);
      const at = code(value, scale);
      const isSpecial = at > 2 * STEPS;
      if (isSpecial) {
        to.fillStyle = ink.paper;
        to.fillRect(x - text.length * 3.6 - 2, y - 8, text.length * 7.2 + 4, 15);
      }
      to.fillStyle = isSpecial ? ink.ink : readable(table[at]!);
      to.fillText(text, x, y + 0.5);
    }
  }
  to.restore();
}

/** Return the finest block that has a number of its own for a cell. */
export function exact(blocks: readonly Block[], row: number, column: number): Block | undefined {
  return blocks.findLast((block) => block.rowStep === 1 && block.columnStep === 1 && valueAt(block, row, column) !== undefined);
}

/** Return a number in as many digits as there is room for. */
export function fitted(value: number, letters: number, isWhole: boolean): string {
  if (isWhole && String(value).length <= letters) return String(value);
  for (let digits = 4; digits > 1; digits -= 1) {
    const text = short(value, digits);
    if (text.length <= letters) return text;
  }
  return short(value, 1);
}

function readable(pixel: number): string {
  const [red, green, blue] = [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255];
  const linear = (part: number): number => (part / 255) ** 2.2;
  const light = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  return light > 0.18 ? '#101216' : '#ffffff';
}

/** An outline around a cell; one too small to see gets arms that point at it. */
export function drawOutline(to: CanvasRenderingContext2D, frame: Frame, gutter: Gutter, row: number, column: number, color: string, halo: string, width: number, dash?: number[]): void {
  const { ratio } = frame;
  const x = gutter.left + frame.x(column) / ratio;
  const y = gutter.top + frame.y(row) / ratio;
  const wide = Math.max(1 / ratio, (frame.x(column + 1) - frame.x(column)) / ratio);
  const high = Math.max(1 / ratio, (frame.y(row + 1) - frame.y(row)) / ratio);
  to.save();
  to.beginPath();
  to.rect(gutter.left - 3, gutter.top - 3, frame.size.width + 6, frame.size.height + 6);
  to.clip();
  const grow = !dash && Math.min(wide, high) < 8 ? 3 : 0;
  for (const [ink, thick] of [[halo, width + 2], [color, width]] as const) {
    to.strokeStyle = ink;
    to.lineWidth = thick;
    to.setLineDash(ink === color && dash ? dash : []);
    to.strokeRect(x - grow - 0.5, y - grow - 0.5, wide + 2 * grow, high + 2 * grow);
    if (grow) {
      const [middleX, middleY] = [x + wide / 2, y + high / 2];
      to.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
        to.moveTo(middleX + dx * (wide / 2 + 6), middleY + dy * (high / 2 + 6));
        to.lineTo(middleX + dx * (wide / 2 + 12), middleY + dy * (high / 2 + 12));
      }
      to.stroke();
    }
  }
  to.restore();
}
