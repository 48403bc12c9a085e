// One diverging scale for every signed number in the lab: blue below zero, the paper at zero, orange above. It stays
// readable with the common kinds of colour blindness, and is never the only channel: numbers and signs stand beside it.

import { interpolateLab } from 'd3-interpolate';
import { theme } from '../state/theme.svelte';

const LIGHT = { low: '#0b4f8a', middle: '#f6f3ec', high: '#b8500a', missing: '#8d8d8d' };
const DARK = { low: '#5aaef5', middle: '#23262e', high: '#ff9a45', missing: '#777777' };
/** Steps of the scale on each side of zero. */
export const STEPS = 256;

function build(colors: typeof LIGHT): { table: Uint8Array; css: string[] } {
  const below = interpolateLab(colors.middle, colors.low);
  const above = interpolateLab(colors.middle, colors.high);
  const css: string[] = [];
  const table = new Uint8Array((2 * STEPS + 1) * 3);
  for (let i = -STEPS; i <= STEPS; i += 1) {
    const color = (i < 0 ? below : above)(Math.abs(i) / STEPS);
    css.push(color);
    const parts = color.match(/\d+/g) ?? [];
    for (let c = 0; c < 3; c += 1) table[(i + STEPS) * 3 + c] = Number(parts[c]);
  }
  return { table, css };
}

const tables = { light: build(LIGHT), dark: build(DARK) };

/** The scale as bytes, for canvases: row `place(share)` holds red, green, blue. */
export function scaleTable(): Uint8Array {
  return (theme.isDark ? tables.dark : tables.light).table;
}

/** Return the row of the scale for a share from -1 to 1; beyond, the end. */
export function scalePlace(share: number): number {
  return Math.round(Math.min(1, Math.max(-1, share)) * STEPS) + STEPS;
}

/** Return the colour of a signed number where `largest` is the end of the scale. */
export function signed(value: number, largest: number): string {
  const { css } = theme.isDark ? tables.dark : tables.light;
  if (Number.isNaN(value)) return missing();
  return css[scalePlace(largest > 0 ? value / largest : 0)] ?? missing();
}

/** The colour of what is not a number, or was not computed. */
export function missing(): string {
  return (theme.isDark ? DARK : LIGHT).missing;
}

/** Colours of series that are compared: told apart by dash as well (SERIES_DASHES). */
export function series(index: number): string {
  const light = ['#0b5cad', '#b8500a', '#2c7a4b', '#8a3fa0', '#8a6a00', '#b3265e', '#3f6b75', '#5b5bd6'];
  const dark = ['#6cb6ff', '#ff9a45', '#6fcf97', '#d2a0ee', '#e8c547', '#ff86b3', '#86cbd8', '#a8a8ff'];
  const colors = theme.isDark ? dark : light;
  return colors[index % colors.length] ?? '#888888';
}

export const SERIES_DASHES: readonly (readonly number[])[] = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 2], [1, 2], [12, 6], [4, 6]];
