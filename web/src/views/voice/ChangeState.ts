// Where one is in the Change tab, what it asks the lab, and how names of parameters are read.

import { arrays, get, post, type Wire } from '../../api/client';
import { linked, text, whole } from '../../state/location.svelte';

export type Change = Wire<'VoiceChange'>;
export type Matrix = Wire<'MatrixMoved'>;
export type Part = Wire<'PartMoved'>;
export type Tokens = Wire<'TokensMoved'>;
export type TokenMoved = Wire<'TokenMoved'>;
export type MatrixMeta = Wire<'MatrixMeta'>;
export type Job = Wire<'Job'>;

export const here = linked({
  /** The matrix that is looked at; nothing: the one that moved farthest. */
  matrix: text(),
  /** The document that is read, counted from 0. */
  reads: whole(0),
});

export const getChange = (run: string, signal?: AbortSignal): Promise<Change> => get<Change>('/voice/change', { run }, signal);
export const measure = (run: string, matrix = ''): Promise<Job> => post<Job>('/voice/change', { run, matrix });
export const getMatrix = (run: string, name: string, signal?: AbortSignal) => arrays<MatrixMeta>('/voice/change/matrix', { run, name }, undefined, signal);

/** How far something moved, for its size, as people read it. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return 'from 0';
  if (share === 0) return '0 %';
  const value = 100 * share;
  return `${value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toPrecision(2)} %`;
}

/** A parameter's place: its block and its part, `q`, `up`; -1 and its name for what stands outside of the blocks. */
export function placeOf(name: string): { layer: number; part: string } {
  const found = /^blocks\.(\d+)\.(?:attn|mlp)\.(\w+)_proj\.weight$/.exec(name);
  return found ? { layer: Number(found[1]), part: found[2] ?? '' } : { layer: -1, part: name };
}

export const PARTS = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'] as const;
export const PART_NAMES: Readonly<Record<string, string>> = {
  q: 'queries', k: 'keys', v: 'values', o: 'what attention writes', gate: 'the gate of the MLP', up: 'what the MLP reads', down: 'what the MLP writes',
}; // prettier-ignore

/** A parameter's name without what all share. */
export const short = (name: string): string => name.replace(/\.weight$/, '').replace(/_proj$/, '').replace(/^blocks\./, 'block ').replace(/\.(attn|mlp)\./, ' · ').replaceAll('_', ' ');
