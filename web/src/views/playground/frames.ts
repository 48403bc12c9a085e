// Frames of a history as the lab sends them, cut into one object a step. Nothing is copied: each row is a view.

import { arrays, type Wire } from '../../api/client';
import { named, type Arrays } from '../../api/arrays';

export const GRID = 50;
export const UNIT_GRID = 20;

export interface Frame {
  readonly step: number;
  readonly parameters: Float64Array;
  readonly gradients: Float64Array;
  readonly updates: Float64Array;
  /** Of every unit at the shown point, inputs first. */
  readonly activations: Float64Array;
  /** dL/dz of every unit at the shown point; NaN for inputs. */
  readonly deltas: Float64Array;
  /** Mean da/dz of every unit over the batch. */
  readonly slopes: Float64Array;
  /** The network's answer at each point. */
  readonly outputs: Float64Array;
  /** The weight whose update is largest beside the weight itself, and how many times as large. */
  readonly loudest: number;
  readonly times: number;
  readonly loss: number;
  /** The loss after the step that leads on from here. */
  readonly lossAfter: number;
  readonly accuracy: number;
  readonly heldOutLoss: number;
  readonly heldOutAccuracy: number;
  /** The plane shown goes from -reach to reach. */
  readonly reach: number;
  /** The output at GRID x GRID places, rows from low x2 to high. */
  readonly boundary: Float32Array;
  /** The same for every unit that computes, UNIT_GRID x UNIT_GRID places each. */
  readonly maps: Float32Array;
  /** Rows x1, x2, label. */
  readonly points: Float64Array;
  readonly heldOut: Float64Array;
}

export type FramesMeta = Wire<'PlaygroundFrames'>;

export interface Asked {
  readonly situation: Wire<'SituationWire'>;
  readonly key: string;
  readonly start: number;
  readonly count: number;
  readonly stride: number;
  readonly point: number;
}

export async function askFrames({ situation, start, count, stride, point }: Asked, signal?: AbortSignal): Promise<{ meta: FramesMeta; frames: Frame[] }> {
  const body = { situation, start, count, stride, point, grid: GRID, unit_grid: UNIT_GRID };
  const answer = await arrays<FramesMeta>('/playground/frames', undefined, body, signal);
  return { meta: answer.meta, frames: cut(answer) };
}

function cut(answer: Arrays<FramesMeta>): Frame[] {
  if (!answer.meta.n_frames) return [];
  const rows = <T>(name: string, row: number): T => {
    const { shape, data } = named(answer, name);
    const size = shape.slice(1).reduce((product, n) => product * n, 1);
    return data.subarray(row * size, (row + 1) * size) as T;
  };
  const one = (name: string, row: number): number => named(answer, name).data[row] ?? NaN;
  const heldOut = named(answer, 'held_out').data as Float64Array;
  return Array.from({ length: answer.meta.n_frames }, (_, row) => ({
    step: one('step', row),
    parameters: rows<Float64Array>('parameters', row),
    gradients: rows<Float64Array>('gradients', row),
    updates: rows<Float64Array>('updates', row),
    activations: rows<Float64Array>('activations', row),
    deltas: rows<Float64Array>('deltas', row),
    slopes: rows<Float64Array>('slopes', row),
    outputs: rows<Float64Array>('outputs', row),
    loudest: one('loudest', row),
    times: one('times', row),
    loss: one('loss', row),
    lossAfter: one('loss_after', row),
    accuracy: one('accuracy', row),
    heldOutLoss: one('held_out_loss', row),
    heldOutAccuracy: one('held_out_accuracy', row),
    reach: one('reach', row),
    boundary: rows<Float32Array>('boundary', row),
    maps: rows<Float32Array>('maps', row),
    points: rows<Float64Array>('points', one('version', row)),
    heldOut,
  }));
}
