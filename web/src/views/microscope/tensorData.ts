// A part of a tensor as the lab sends it, made ready for a picture.

import { named, type Arrays } from '../../api/arrays';
import type { Wire } from '../../api/client';
import type { Block, Cells, Pooling } from '../../figures/HeatMapPaint';
import type { Shown } from './tensorState';

export type Meta = Wire<'TensorMeta'>;

export interface Piece {
  readonly meta: Meta;
  /** The question it answers. */
  readonly asked: string;
  /** Of the whole table. */
  readonly rows: number;
  readonly columns: number;
  /** The numbers themselves, or null where the lab put cells together. */
  readonly values: Cells | null;
  readonly mean: Cells | null;
  readonly low: Cells | null;
  readonly high: Cells | null;
  readonly strange: Cells | null;
}

export function pieceOf(answer: Arrays<Meta>, asked: string): Piece {
  const { meta } = answer;
  const size = (axis: number | null): number => (axis === null ? 1 : (meta.shape[axis] ?? 1));
  const found = (name: string): Cells | null => (answer.arrays[name] ? named(answer, name).data : null);
  return { meta, asked, rows: size(meta.rows), columns: size(meta.columns), values: found('values'), mean: found('mean'), low: found('low'), high: found('high'), strange: found('strange') };
}

/** Return the numbers of a piece as a picture takes them; a block with a number that is infinite or undefined is shown as such. */
export function blockOf(piece: Piece, pooling: Pooling): Block {
  const { meta } = piece;
  const place = { row: meta.first_row, column: meta.first_column, rows: meta.last_row - meta.first_row, columns: meta.last_column - meta.first_column };
  if (piece.values) return { ...place, rowStep: 1, columnStep: 1, values: piece.values };
  const { mean, low, high, strange } = piece as { mean: Cells; low: Cells; high: Cells; strange: Cells };
  const values = new Float64Array(mean.length);
  for (let i = 0; i < values.length; i += 1) {
    if (strange[i]) values[i] = NaN;
    else if (pooling === 'mean') values[i] = mean[i]!;
    else if (pooling === 'min') values[i] = low[i]!;
    else if (pooling === 'max') values[i] = high[i]!;
    else values[i] = Math.abs(low[i]!) > Math.abs(high[i]!) ? low[i]! : high[i]!;
  }
  return { ...place, rowStep: meta.block_rows, columnStep: meta.block_columns, values };
}

/** Return which trace and edits to ask about, for what is shown. `other` less this is what the lab calls a difference. */
export function sourceOf(shown: Shown, trace: string, other: string, edits: string): { trace: string; edits?: string | undefined; other?: string; other_edits?: string } {
  const changed = edits === '""' ? undefined : edits;
  if (shown === 'before') return { trace, edits: undefined };
  if (shown === 'other') return { trace: other, edits: undefined };
  if (shown === 'moved') return { trace, edits: undefined, other: trace, other_edits: changed ?? '' };
  if (shown === 'difference') return { trace, edits: changed, other };
  return { trace, edits: changed };
}

/** Return what an axis is called: `head (H)`, or `axis 1` where the model does not say. */
export function axisName(meta: Meta, axis: number): string {
  const one = meta.axes[axis];
  if (!one?.letter) return `axis ${axis}`;
  return one.meaning ? `${one.meaning} (${one.letter})` : one.letter;
}
