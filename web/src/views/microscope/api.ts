// What the microscope asks the lab. Every question carries the trace and the edits, so an answer is of the replay that is shown.

import { arrays, get, type Query, type Wire } from '../../api/client';
import type { Arrays } from '../../api/arrays';
import { about } from './state';

/** Ask about the open trace, with its edits. */
export async function ask<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return get<T>(`/microscope/${path}`, { ...about(), ...query }, signal);
}

/** Ask for numbers of the open trace, with its edits. */
export async function askArrays<Meta>(path: string, query: Query = {}, signal?: AbortSignal): Promise<Arrays<Meta>> {
  return arrays<Meta>(`/microscope/${path}`, { ...about(), ...query }, undefined, signal);
}

/** An index as requests carry it: `3,7`. */
export function indexText(index: readonly number[]): string {
  return index.join(',');
}

export type Overview = Wire<'Overview'>;
export type TraceFacts = Wire<'TraceFacts'>;
export type Finding = Wire<'TraceFinding'>;
export type Moved = Wire<'MovedTensor'>;
export type FoundAddress = Wire<'Address'>;

/** Return a number that may have come as a word, because JSON has none for it. */
export function plain(value: number | string | null): number | null {
  return typeof value === 'string' ? Number(value.replace('inf', 'Infinity')) : value;
}
