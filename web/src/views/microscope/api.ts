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

export interface Overview {
  modules: { path: string; out: number[]; gradient: number[]; parameters: number[]; parameter_count: number; counts: number[]; size_out: number | string | null; size_gradient: number | string | null }[];
  addresses: string[];
  shapes: number[][];
  kinds: string[];
  names: string[];
  paths: string[];
  sources: string[];
  operations: { number: number[]; name: number[]; phase: number[]; path: number[]; source: number[]; outputs: number[][]; operands: number[][]; forward: number[] };
  views: number;
}
