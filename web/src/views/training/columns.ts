// The metrics of a run as columns that grow: each holds the rows in which it was measured, and the values there. What was
// not measured has no row, so it can never be drawn as 0.

import type { LineSeries } from '../../figures/lines';
import { nearest } from '../../figures/decimate';

class Growing {
  private buffer = new Float64Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.buffer.length) {
      const wider = new Float64Array(2 * this.buffer.length);
      wider.set(this.buffer);
      this.buffer = wider;
    }
    this.buffer[this.length++] = value;
  }
  cut(length: number): void {
    this.length = Math.min(this.length, length);
  }
  get view(): Float64Array {
    return this.buffer.subarray(0, this.length);
  }
}

export type XAxis = 'step' | 'tokens' | 'seconds';

/** Return the weight of the moving average that suits a run of so many points. */
export function usualSmoothing(points: number): number {
  return points < 120 ? 0 : points < 600 ? 0.8 : points < 3000 ? 0.9 : points < 20_000 ? 0.95 : 0.98;
}

/** A line of metrics as it comes: numbers, and numbers by layer. */
export type MetricRow = Readonly<Record<string, number | null | Readonly<Record<string, number | null>>>>;

export class Columns {
  rows = 0;
  private readonly found = new Map<string, { at: Growing; values: Growing }>();

  get names(): string[] {
    return [...this.found.keys()];
  }

  private set(name: string, value: number): void {
    let column = this.found.get(name);
    if (!column) this.found.set(name, (column = { at: new Growing(), values: new Growing() }));
    column.at.push(this.rows);
    column.values.push(value);
  }

  /** Forget the rows from `first` on. */
  cut(first: number): void {
    for (const { at, values } of this.found.values()) {
      let size = at.length;
      while (size > 0 && (at.view[size - 1] as number) >= first) size -= 1;
      at.cut(size);
      values.cut(size);
    }
    this.rows = Math.min(this.rows, first);
  }

  /** Add whole columns of equal length, NaN where a row has no value. */
  addColumns(columns: Readonly<Record<string, ArrayLike<number>>>): void {
    const entries = Object.entries(columns);
    const size = Math.max(0, ...entries.map(([, values]) => values.length));
    const first = this.rows;
    for (const [name, values] of entries) {
      for (let i = 0; i < values.length; i += 1) {
        const value = values[i] as number;
        if (Number.isNaN(value)) continue;
        this.rows = first + i;
        this.set(name, value);
      }
    }
    this.rows = first + size;
  }

  add(row: MetricRow): void {
    for (const [name, value] of Object.entries(row)) {
      if (typeof value === 'number') this.set(name, value);
      else if (value) for (const [layer, one] of Object.entries(value)) if (typeof one === 'number') this.set(`${name}.${layer}`, one);
    }
    this.rows += 1;
  }

  values(name: string): Float64Array {
    return this.found.get(name)?.values.view ?? new Float64Array();
  }
  last(name: string): number | undefined {
    return this.values(name).at(-1);
  }

  /** Return a column as points over an axis. */
  line(name: string, axis: XAxis): Pick<LineSeries, 'x' | 'y'> {
    const column = this.found.get(name);
    const along = this.found.get(axis);
    if (!column || !along) return { x: new Float64Array(), y: new Float64Array() };
    const [at, values] = [column.at.view, column.values.view];
    const places = along.values.view;
    if (along.values.length === this.rows) return { x: at.length === this.rows ? places : at.map((row) => places[row] as number), y: values };
    const rowOf = new Map([...along.at.view].map((row, i) => [row, places[i] as number]));
    const kept = [...at.keys()].filter((i) => rowOf.has(at[i] as number));
    return { x: Float64Array.from(kept, (i) => rowOf.get(at[i] as number) as number), y: Float64Array.from(kept, (i) => values[i] as number) };
  }

  /** Return the tokens a second over the last rows before each row. */
  throughput(axis: XAxis, over = 20): Pick<LineSeries, 'x' | 'y'> {
    const [tokens, seconds, x] = [this.values('tokens'), this.values('seconds'), this.values(axis)];
    const size = Math.min(tokens.length, seconds.length, x.length);
    const y = new Float64Array(Math.max(0, size - 1));
    for (let i = 1; i < size; i += 1) {
      const from = Math.max(0, i - over);
      const time = (seconds[i] as number) - (seconds[from] as number);
      y[i - 1] = time > 0 ? ((tokens[i] as number) - (tokens[from] as number)) / time : NaN;
    }
    return { x: x.subarray(1, size), y };
  }

  /** Return where a step lies on an axis, and back. */
  place(step: number, axis: XAxis): number | undefined {
    const i = nearest(this.values('step'), step);
    return i < 0 ? undefined : this.values(axis)[i];
  }
  stepAt(place: number, axis: XAxis): number | undefined {
    const i = nearest(this.values(axis), place);
    return i < 0 ? undefined : this.values('step')[i];
  }
}
