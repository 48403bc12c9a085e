// What a line chart is made of, and the parts of it that need no screen.

import { scaleLinear, scaleLog } from 'd3-scale';
import { full, short } from '../lib/numbers';
import { atOrBefore, lowerBound } from './decimate';

export interface LineSeries {
  readonly name: string;
  /** Ascending. */
  readonly x: Float64Array;
  /** As long as x; what is not a finite number is a gap in the line. */
  readonly y: Float64Array;
  /** A CSS colour; left out: the next of the lab's series colours. */
  readonly color?: string;
  /** Lengths of strokes and gaps; left out: the next of the lab's dashes. */
  readonly dash?: readonly number[];
  /** Drawn behind the others, pale, and never smoothed. */
  readonly faint?: boolean;
  /** Whether every point is marked (for lines of few points). */
  readonly points?: boolean;
  /** Whether the chart's smoothing applies; left out: yes. */
  readonly smooth?: boolean;
}

export interface LineOptions {
  /** What the chart shows, for its label and its picture. */
  readonly title?: string;
  readonly logX?: boolean;
  readonly logY?: boolean;
  readonly xLabel?: string;
  readonly yLabel?: string;
  /** What stands above it, as a heading, and a line below that. */
  readonly heading?: string;
  readonly about?: string;
  /** In pixels. */
  readonly height?: number;
  /** Weight of the past in the moving average: 0 shows the values as they are. */
  readonly smoothing?: number;
  /** Whether the y axis always shows 0. */
  readonly fromZero?: boolean;
  /** Whether each line's name stands at its end. */
  readonly endLabels?: boolean;
  /** Without legend, tools and keyboard: for small pictures beside the number they belong to. */
  readonly plain?: boolean;
}

export type Range = readonly [number, number];

/** Return the numbers an axis names: as many as have room, round, on a log axis decades where there are enough. */
export function ticks([low, high]: Range, isLog: boolean, most: number): number[] {
  if (!isLog) return scaleLinear([low, high], [0, 1]).ticks(most);
  const decades = Math.log10(high / low);
  if (decades < 1.2) return scaleLinear([low, high], [0, 1]).ticks(most).filter((tick) => tick > 0);
  const all = scaleLog([low, high], [0, 1]).ticks(most);
  const step = Math.ceil(decades / Math.max(1, most));
  const leading = most / decades >= 3 ? ['1', '2', '5'] : ['1'];
  return all.filter((tick) => leading.includes(tick.toExponential(6)[0] ?? '') && (leading.length > 1 || Math.round(Math.log10(tick)) % step === 0));
}

/** Return how a tick is written: round numbers in short, thousands grouped. */
export function tickText(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9 || (size < 1e-4 && size > 0)) return short(value, 3);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(6))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(6))}k`;
  return String(Number(value.toPrecision(6)));
}

/** Return the range of x over all series; on a log axis what is not above 0 has no place. */
export function extent(series: readonly LineSeries[], isLog: boolean): Range {
  let low = Infinity;
  let high = -Infinity;
  for (const { x } of series) {
    const first = x[isLog ? lowerBound(x, Number.MIN_VALUE) : 0];
    const last = x[x.length - 1];
    if (first === undefined || last === undefined) continue;
    low = Math.min(low, first);
    high = Math.max(high, last);
  }
  if (!(low <= high)) return isLog ? [1, 10] : [0, 1];
  if (low < high) return [low, high];
  return isLog ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
}

/** Return a range with some air around it. */
export function withAir([low, high]: Range, isLog: boolean): Range {
  if (!(low <= high)) return isLog ? [0.1, 10] : [0, 1];
  if (isLog) {
    const air = low === high ? 2 : (high / low) ** 0.05;
    return [low / air, high * air];
  }
  const air = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * 0.06;
  return [low - air, high + air];
}

/** Return the part of a range one zooms to, by a factor around a place; what would lie beyond one end of the whole is had at the other. */
export function zoomed([low, high]: Range, at: number, factor: number, whole: Range, isLog: boolean): Range | undefined {
  const to = isLog ? Math.log : (v: number) => v;
  const back = isLog ? Math.exp : (v: number) => v;
  const [a, b, c] = [to(low), to(high), Math.min(to(high), Math.max(to(low), to(at)))];
  const width = (b - a) * factor;
  if (width >= to(whole[1]) - to(whole[0])) return undefined;
  const start = Math.min(to(whole[1]) - width, Math.max(to(whole[0]), c - (c - a) * factor));
  const next: Range = [back(start), back(start + width)];
  return next[1] - next[0] > (whole[1] - whole[0]) * 1e-7 ? next : [low, high];
}

/** Return a range moved by a share of its width, within the whole. */
export function moved([low, high]: Range, share: number, whole: Range, isLog: boolean): Range {
  const to = isLog ? Math.log : (v: number) => v;
  const back = isLog ? Math.exp : (v: number) => v;
  const width = to(high) - to(low);
  const start = Math.min(to(whole[1]) - width, Math.max(to(whole[0]), to(low) + share * width));
  return [back(start), back(start + width)];
}

export interface Reading {
  readonly value: number;
  readonly x: number;
}

/** Return a series' value at a place: measured there, or last before it (`x` says where). */
export function reading({ x, y }: LineSeries, at: number): Reading | undefined {
  const i = atOrBefore(x, at);
  return i < 0 ? undefined : { value: y[i] as number, x: x[i] as number };
}

/** Return all places at which any of the series was measured, ascending, within a range. */
export function places(series: readonly LineSeries[], [low, high]: Range): Float64Array {
  const parts = series.map(({ x }) => {
    let end = lowerBound(x, high);
    while (end < x.length && x[end] === high) end += 1;
    return x.subarray(lowerBound(x, low), end);
  });
  const all = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  if (parts.length > 1) all.sort();
  let size = 0;
  for (let i = 0; i < all.length; i += 1) if (i === 0 || all[i] !== all[i - 1]) all[size++] = all[i] as number;
  return all.subarray(0, size);
}

/** Return the series as a table for other programs: all digits; empty where nothing was measured. */
export function csv(series: readonly LineSeries[], xLabel: string): string {
  const quoted = (text: string): string => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [[xLabel, ...series.map(({ name }) => name)].map(quoted).join(',')];
  for (const place of places(series, [-Infinity, Infinity])) {
    const values = series.map((one) => {
      const found = reading(one, place);
      return found?.x === place ? full(found.value) : '';
    });
    lines.push([full(place), ...values].join(','));
  }
  return `${lines.join('\n')}\n`;
}
