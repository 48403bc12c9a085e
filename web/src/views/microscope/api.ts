// What the microscope asks the lab. Every question carries the trace and the edits, so an answer is of the replay that is shown.

import { arrays, get, type Query } from '../../api/client';
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
